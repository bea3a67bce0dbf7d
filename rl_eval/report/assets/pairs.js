// Return over any two hyperparameters. Data: rl_eval/report/sweep/pairs.py.
"use strict";
(() => {
  const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [420, 370, 68, 20, 10, 50];
  const data = JSON.parse(document.getElementById("pairs-data").textContent);
  const trials = JSON.parse(document.getElementById("parcoords-data").textContent);
  const root = document.getElementById("pairs");
  const [pickEnv, pickX, pickY, charts] =
    ["env", "x", "y", "charts"].map((name) => root.querySelector(`[data-pairs="${name}"]`));

  const { make, element } = dom;
  const plot = () => data.plots[pickEnv.selectedIndex];
  const colour = (score) => {
    const { low, high } = plot();
    const share = Math.min(Math.max((score - low) / (high - low), 0), 1);
    return data.colours[Math.round(share * (data.colours.length - 1))];
  };
  const number = (value) => Number(value.toPrecision(4)).toString();

  // A panel's trials with their places on two axes, from the lines of the parallel coordinates.
  const trialsOf = (panel, x, y) => {
    const [i, j] = [plot().axes[x].at, plot().axes[y].at];
    return panel.lines.map((line, k) => {
      const [id, , heights, , , score] = trials.plots[plot().plot].lines[line];
      return { id, score, bins: [panel.bins[x][k], panel.bins[y][k]], heights: [heights[i], heights[j]] };
    });
  };

  // What lies off an axis has a cell of its own before it, as wide as one.
  const scale = (axis, index, shown, count, from, to) => {
    const off = shown.some((trial) => trial.bins[index] < 0) ? 1 : 0;
    const parts = count + off;
    const size = (to - from) / parts;
    const at = (height) => from + size * off + height * (to - from - size * off);
    const place = (trial) => (trial.bins[index] < 0 ? from + size / 2 : at(trial.heights[index]));
    const ticks = trials.plots[plot().plot].axes[axis.at].ticks.map(([height, text]) => [at(height), text]);
    if (off) ticks.unshift([from + size / 2, axis.off_scale]);
    return { ticks, place, start: (bin) => from + size * (bin + off), size };
  };

  const cells = (shown) => {
    const found = new Map();
    for (const { bins, score } of shown) {
      const key = bins.join();
      if (!found.has(key)) found.set(key, { at: bins, scores: [] });
      found.get(key).scores.push(score);
    }
    return [...found.values()];
  };

  const drawTicks = (svg, across, up) => {
    let end = -Infinity; // of the last label, where labels lie side by side
    for (const [x, text] of across.ticks) {
      const half = text.length * 3.6;
      if (x - half < end) continue;
      end = x + half + 4;
      make("text", { x, y: HEIGHT - BOTTOM + 17, "text-anchor": "middle" }, svg, text);
    }
    for (const [y, text] of up.ticks) {
      make("text", { x: LEFT - 6, y: y + 4, "text-anchor": "end" }, svg, text);
    }
  };

  const draw = (panel) => {
    const [x, y] = [pickX.selectedIndex, pickY.selectedIndex];
    const [axisX, axisY] = [plot().axes[x], plot().axes[y]];
    const figure = element("figure", "", charts);
    figure.dataset.optimizer = panel.optimizer;
    element("figcaption", `${panel.optimizer}, ${panel.lines.length} trials`, figure);
    if (!panel.counts[x] || !panel.counts[y]) {
      element("p", `has no ${panel.counts[x] ? axisY.label : axisX.label}`, figure);
      return;
    }
    const svg = make("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img" }, figure);
    svg.setAttribute("aria-label", `${axisX.label} and ${axisY.label}, ${panel.optimizer}`);
    const said = element("p", data.hint, figure);
    said.className = "pairs-said";
    svg.addEventListener("pointerover", ({ target }) => {
      if (target.said) said.textContent = target.said;
    });
    const shown = trialsOf(panel, x, y);
    const across = scale(axisX, 0, shown, panel.counts[x], LEFT, WIDTH - RIGHT);
    const up = scale(axisY, 1, shown, panel.counts[y], HEIGHT - BOTTOM, TOP);
    const frame = { x: LEFT, y: TOP, width: WIDTH - LEFT - RIGHT, height: HEIGHT - TOP - BOTTOM };
    make("rect", { class: "pairs-frame", ...frame }, svg);
    for (const { at, scores } of cells(shown)) {
      const mean = scores.reduce((a, b) => a + b, 0) / scores.length;
      const [left, bottom] = [across.start(at[0]), up.start(at[1])];
      const size = { width: across.size - 1, height: -up.size - 1 };
      const box = { x: left + 0.5, y: bottom + up.size + 0.5, ...size, fill: colour(mean) };
      const cell = make("rect", { class: "pairs-cell", "data-cell": at.join(), ...box }, svg);
      const ends = [Math.min, Math.max].map((end) => number(scores.reduce((a, b) => end(a, b))));
      cell.said = `mean ${number(mean)} of ${scores.length} trials, ${ends.join(" to ")}`;
    }
    const r = shown.length > 1000 ? 1.2 : shown.length > 100 ? 2.5 : 4;
    for (const trial of shown) {
      const [cx, cy] = [across.place(trial), up.place(trial)];
      const look = { class: "pairs-trial", cx, cy, r, fill: colour(trial.score) };
      const dot = make("circle", look, svg);
      dot.said = `trial ${trial.id}: ${number(trial.score)}`;
    }
    drawTicks(svg, across, up);
    const middle = (LEFT + WIDTH - RIGHT) / 2;
    const name = { class: "pairs-name", "text-anchor": "middle" };
    make("text", { ...name, x: middle, y: HEIGHT - 10 }, svg, axisX.label);
    const turn = `translate(14 ${(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)`;
    make("text", { ...name, transform: turn }, svg, axisY.label);
  };

  const legend = () => {
    const [low, map, high] = root.querySelector("[data-pairs=legend]").children;
    [low.textContent, high.textContent] = [plot().low, plot().high].map(number);
    map.style.background = `linear-gradient(to right, ${data.colours.join()})`;
  };

  let seen = false; // drawn when the reader comes near or chooses
  const drawAll = () => {
    charts.replaceChildren();
    legend();
    if (seen) plot().panels.forEach(draw);
  };
  const fill = () => {
    const chosen = [pickX.value, pickY.value];
    for (const [pick, old, first] of [[pickX, chosen[0], 0], [pickY, chosen[1], 1]]) {
      pick.replaceChildren();
      plot().axes.forEach((axis) => (element("option", axis.label, pick).value = axis.key));
      const index = plot().axes.findIndex((axis) => axis.key === old);
      pick.selectedIndex = index < 0 ? plot().first[first] : index;
    }
    drawAll();
  };
  data.plots.forEach((p) => element("option", p.env, pickEnv));
  for (const [pick, act] of [[pickEnv, fill], [pickX, drawAll], [pickY, drawAll]]) {
    pick.addEventListener("change", () => {
      seen = true;
      act();
    });
  }
  fill();
  const near = new IntersectionObserver(
    (entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      near.disconnect();
      seen = true;
      drawAll();
    },
    { rootMargin: "600px" },
  );
  near.observe(root);
})();
