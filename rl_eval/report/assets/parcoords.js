// Parallel coordinates of a sweep. Data: rl_eval/report/sweep/parcoords_page.py.
//
// Everything is drawn through `xy(across, along)`: across runs over the axes, along is the height
// on an axis. On a narrow screen the two are swapped, so that axes lie on their side, one below
// the other, and keep the full width. Line pieces are cubic curves whose height is the smoothstep
// of the way between two axes, which makes the nearest line to the pointer a formula.
"use strict";
(() => {
  const REACH = 14; // pixels from the pointer to a line
  const NARROW = 700; // pixels of width below which axes lie on their side
  const data = JSON.parse(document.getElementById("parcoords-data").textContent);
  const root = document.getElementById("parcoords");
  const find = (name) => root.querySelector(`[data-pc="${name}"]`);
  const [chart, details, count] = ["chart", "details", "count"].map(find);
  const [pickEnv, pickOptimizer, useBest, best, bestOut, reset] =
    ["env", "optimizer", "use-best", "best", "best-out", "reset"].map(find);

  const brushes = new Map(); // axis key -> [low, high] heights
  let order = []; // axis keys from the first to the last
  let focus = null; // id of the line under the pointer
  let pinned = null; // id of the line that was clicked
  let view = null; // what the last draw() laid out
  let show = null; // shows the lines of a set of ids

  const { make, element } = dom;
  const smooth = (t) => t * t * (3 - 2 * t);
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
  const plot = () => data.plots[pickEnv.selectedIndex];

  // ---- what the page carries --------------------------------------------------------------

  const colour = (shade) =>
    shade === null ? data.no_score : data.colours[Math.round(shade * (data.colours.length - 1))];
  const lineOf = ([id, optimizer, heights, texts, shade, , dashed, runs]) => ({
    id,
    optimizer: data.optimizers[optimizer],
    heights,
    texts,
    shade,
    colour: colour(shade),
    dashed,
    runs: runs.map(([text, height, grid, returns]) => ({ text, height, grid, returns })),
  });
  data.plots = data.plots.map((p) => ({ ...p, lines: p.lines.map(lineOf) }));

  // ---- what is shown ----------------------------------------------------------------------

  const chosen = () =>
    plot().lines.filter((line) => !pickOptimizer.value || line.optimizer === pickOptimizer.value);

  // Lines come from Python with the best last.
  const bestOf = (lines) => {
    if (!useBest.checked) return lines;
    const keep = Math.max(1, Math.ceil((lines.length * best.value) / 100));
    return lines.filter((line) => line.shade !== null).slice(-keep);
  };

  // An axis is left out where no chosen line is on its scale; the return always stays.
  const usedAxes = (lines) => {
    const all = plot().axes.map((axis, index) => ({ ...axis, index }));
    const used = all.filter((axis) => {
      if (axis.key === "objective") return true;
      if (axis.key === "optimizer") return !pickOptimizer.value;
      return lines.some((line) => line.heights[axis.index] > data.off_scale);
    });
    order = [...order, ...all.map((axis) => axis.key).filter((key) => !order.includes(key))];
    return used.sort((a, b) => order.indexOf(a.key) - order.indexOf(b.key));
  };

  const passes = () => {
    const brushed = view.axes.filter((axis) => brushes.has(axis.key));
    const ranges = brushed.map((axis) => [axis.index, ...brushes.get(axis.key)]);
    return ({ heights }) => ranges.every(([i, low, high]) => low <= heights[i] && heights[i] <= high);
  };

  // ---- layout and drawing -----------------------------------------------------------------

  const layout = () => {
    const lines = chosen();
    const axes = usedAxes(lines);
    const width = Math.max(chart.clientWidth, 280);
    const narrow = width < NARROW;
    const off = axes.some((a) => lines.some((l) => l.heights[a.index] === data.off_scale));
    const gap = narrow ? 74 : (width - 140) / Math.max(axes.length - 1, 1);
    const [first, height] = narrow ? [52, 52 + gap * (axes.length - 1) + 40] : [56, 470];
    const [zero, one] = narrow ? [off ? 62 : 18, width - 22] : [height - (off ? 62 : 18), 74];
    const across = new Map(axes.map((axis, i) => [axis.key, first + i * gap]));
    const along = (h) => zero + h * (one - zero);
    const xy = (a, h) => (narrow ? [along(h), a] : [a, along(h)]);
    view = { lines, axes, width, height, narrow, gap, zero, one, across, along, xy };
  };

  const drawAxis = (parent, axis) => {
    const at = view.across.get(axis.key);
    const group = make("g", { class: "pc-axis", "data-axis": axis.key }, parent);
    const stroke = (kind, h0, h1, shift = 0) => {
      const [[x1, y1], [x2, y2]] = [view.xy(at - shift, h0), view.xy(at + shift, h1)];
      return make("line", { class: kind, x1, y1, x2, y2 }, group);
    };
    const used = view.lines.some((line) => line.heights[axis.index] === data.off_scale);
    const ticks = used ? [[data.off_scale, axis.off_scale], ...axis.ticks] : axis.ticks;
    const [x, y] = view.xy(at, 1);
    const hit = view.narrow
      ? { x: 0, y: y - 14, width: view.width, height: 28 }
      : { x: x - 15, y: view.one - 8, width: 30, height: view.height - view.one + 4 };
    make("rect", { class: "pc-hit", ...hit }, group);
    if (axis.key === "objective") make("rect", { class: "pc-map", ...strip(at) }, group);
    stroke("pc-scale", 0, 1);
    let end = -Infinity; // of the last label, where labels lie side by side
    for (const [height, text] of ticks) {
      stroke("pc-tick", height, height, 4);
      const [tx, ty] = view.xy(at, height);
      const half = text.length * 3.2;
      if (view.narrow && tx - half < end) continue;
      if (view.narrow) end = tx + half + 4;
      const place = view.narrow
        ? { x: clamp(tx, half, view.width - half), y: ty + 17, "text-anchor": "middle" }
        : { x: tx + 8, y: ty + 4 };
      make("text", { class: "pc-label", ...place }, group, text);
    }
    const place = view.narrow
      ? { x: 4, y: y - 19 }
      : { x, y: view.one - 30, "text-anchor": "middle" };
    const name = make("text", { class: "pc-name", tabindex: 0, ...place }, group, axis.label);
    make("title", {}, name, `${axis.help || axis.label}\nDrag, or use the arrow keys, to move`);
    name.addEventListener("pointerdown", (event) => dragAxis(event, axis.key));
    name.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
      if (step) {
        event.preventDefault();
        move(axis.key, view.axes.findIndex((a) => a.key === axis.key) + step);
        draw();
        chart.querySelector(`[data-axis="${CSS.escape(axis.key)}"] .pc-name`).focus();
      }
    });
    group.querySelector(".pc-hit").addEventListener("pointerdown", (e) => brush(e, axis.key));
    make("rect", { class: "pc-brush", rx: 3 }, group);
  };

  const strip = (at) => {
    const length = Math.abs(view.one - view.zero);
    const fill = `url(#pc-map-${view.narrow ? "x" : "y"})`;
    return view.narrow
      ? { x: view.zero, y: at - 3, width: length, height: 6, fill }
      : { x: at - 3, y: view.one, width: 6, height: length, fill };
  };

  const gradients = (svg) => {
    const defs = make("defs", {}, svg);
    for (const [id, ends] of [["x", { x1: 0, x2: 1 }], ["y", { y1: 1, y2: 0, x1: 0, x2: 0 }]]) {
      const gradient = make("linearGradient", { id: `pc-map-${id}`, ...ends }, defs);
      data.colours.forEach((colour, i) => {
        const offset = i / (data.colours.length - 1);
        make("stop", { offset, "stop-color": colour }, gradient);
      });
    }
  };

  const draw = () => {
    layout();
    const { width, height } = view;
    const svg = make("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img" });
    svg.setAttribute("aria-label", `Parallel coordinates, ${plot().env}`);
    gradients(svg);
    const axes = make("g", {}, svg);
    svg.append(make("g", { class: "pc-top" }));
    view.axes.forEach((axis) => drawAxis(axes, axis));
    svg.addEventListener("pointermove", (event) => point(nearest(event)));
    svg.addEventListener("pointerleave", () => point(null));
    svg.addEventListener("click", (event) => {
      if (event.target !== svg) return; // the end of a drag
      const hit = nearest(event);
      pinned = hit && hit !== pinned ? hit : null;
      point(hit);
    });
    chart.replaceChildren(svg);
    view.shown = bestOf(view.lines);
    show = pcLines.draw(chart, svg, view, view.shown);
    find("note").textContent = [data.hint, plot().note].filter(Boolean).join(" ");
    filter();
  };

  // ---- what brushes leave -----------------------------------------------------------------

  const filter = () => {
    const kept = new Set(view.shown.filter(passes()).map((line) => line.id));
    show(kept);
    for (const axis of view.axes) {
      const rect = chart.querySelector(`[data-axis="${CSS.escape(axis.key)}"] .pc-brush`);
      const range = brushes.get(axis.key);
      rect.style.display = range ? "" : "none";
      if (!range) continue;
      const at = view.across.get(axis.key);
      const [[x0, y0], [x1, y1]] = [view.xy(at - 8, range[0]), view.xy(at + 8, range[1])];
      const size = { width: Math.abs(x1 - x0), height: Math.abs(y1 - y0) };
      const box = { x: Math.min(x0, x1), y: Math.min(y0, y1), ...size };
      for (const [key, value] of Object.entries(box)) rect.setAttribute(key, value);
    }
    view.kept = kept;
    count.textContent = `${kept.size} of ${view.lines.length} trials`;
    reset.disabled = brushes.size === 0;
    point(focus);
  };

  const position = (event) => {
    const box = chart.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    return view.narrow ? [y, x] : [x, y];
  };

  const toHeight = (pixel) => {
    const height = (pixel - view.zero) / (view.one - view.zero);
    return clamp(height, data.off_scale - 0.05, 1.05);
  };

  const drag = (event, onMove, onEnd) => {
    event.preventDefault();
    const target = event.currentTarget;
    target.setPointerCapture(event.pointerId);
    target.onpointermove = onMove;
    target.onpointerup = target.onpointercancel = (last) => {
      target.onpointermove = target.onpointerup = target.onpointercancel = null;
      onEnd(last);
    };
  };

  const brush = (event, key) => {
    const start = toHeight(position(event)[1]);
    const update = (now) => {
      const end = toHeight(position(now)[1]);
      if (Math.abs(end - start) < 0.01) brushes.delete(key); // a click clears the axis
      else brushes.set(key, [Math.min(start, end), Math.max(start, end)]);
      filter();
    };
    drag(event, update, update);
  };

  const move = (key, index) => {
    const shown = view.axes.map((axis) => axis.key);
    const other = shown[clamp(index, 0, shown.length - 1)];
    const to = order.indexOf(other);
    order.splice(order.indexOf(key), 1);
    order.splice(to, 0, key);
  };

  const dragAxis = (event, key) => {
    const group = event.currentTarget.parentNode;
    const start = position(event)[0];
    const shift = (now) => position(now)[0] - start;
    const follow = (now) => {
      const [x, y] = view.narrow ? [0, shift(now)] : [shift(now), 0];
      group.setAttribute("transform", `translate(${x} ${y})`);
    };
    drag(event, follow, (now) => {
      const from = view.axes.findIndex((axis) => axis.key === key);
      move(key, from + Math.round(shift(now) / view.gap));
      draw();
    });
  };

  // ---- the line under the pointer ---------------------------------------------------------

  const nearest = (event) => {
    const [a, b] = position(event);
    const places = view.axes.map((axis) => view.across.get(axis.key));
    const i = clamp(places.findIndex((place) => place >= a), 1, places.length - 1);
    const t = smooth(clamp((a - places[i - 1]) / (places[i] - places[i - 1]), 0, 1));
    let [found, least] = [null, REACH];
    for (const line of view.shown) {
      if (!view.kept.has(line.id)) continue;
      const [h0, h1] = [view.axes[i - 1], view.axes[i]].map((axis) => line.heights[axis.index]);
      const distance = Math.abs(view.along(h0 + (h1 - h0) * t) - b);
      if (distance <= least) [found, least] = [line.id, distance];
    }
    return found;
  };

  const point = (id) => {
    focus = id;
    const line = view.lines.find((l) => l.id === (pinned ?? focus) && view.kept.has(l.id));
    const top = chart.querySelector(".pc-top");
    top.replaceChildren();
    chart.classList.toggle("pc-focus", Boolean(line));
    if (line) {
      pcLines.drawElement(top, view, line);
      const objective = view.axes.find((axis) => axis.key === "objective");
      for (const run of line.runs) {
        if (run.height === null) continue;
        const [cx, cy] = view.xy(view.across.get(objective.key), run.height);
        make("circle", { class: "pc-seed", cx, cy, r: 3.5 }, top);
      }
    }
    const best = view.lines.findLast((l) => l.shade !== null && view.kept.has(l.id));
    describe(line ?? best, line ? "" : "best of these: ");
  };

  const describe = (line, role) => {
    details.replaceChildren();
    if (!line) return;
    const facts = document.createElement("div");
    const head = element("h3", `${role}${line.optimizer}, trial `, facts);
    element("code", line.id, head);
    const list = document.createElement("dl");
    plot().axes.forEach((axis, i) => {
      if (line.heights[i] === data.off_scale && axis.key !== "objective") return;
      element("dt", axis.label, list);
      const text = line.texts[i];
      element("dd", typeof text === "number" ? axis.texts[text] : text, list);
    });
    element("dt", "seeds", list);
    const runs = line.runs.map((r, i) => `${data.seeds[i]}: ${r.text}`);
    element("dd", runs.join(", "), list);
    facts.append(list);
    details.append(facts, learningCurve(line));
  };

  const learningCurve = (line) => {
    const [width, height, left, bottom] = [380, 190, 46, 28];
    const figure = document.createElement("figure");
    element("figcaption", data.curve_label, figure);
    const svg = make("svg", { class: "pc-curve", viewBox: `0 0 ${width} ${height}` });
    figure.append(svg);
    const { steps: last, low, high, ticks, step_ticks: stepTicks } = plot().curves;
    const x = (step) => left + (step / last) * (width - left - 18);
    const y = (h) => height - bottom - ((h - low) / (high - low)) * (height - bottom - 10);
    for (const [h, text] of ticks) {
      make("line", { class: "pc-grid", x1: left, x2: width - 18, y1: y(h), y2: y(h) }, svg);
      make("text", { class: "pc-label", x: left - 6, y: y(h) + 4, "text-anchor": "end" }, svg, text);
    }
    for (const [step, text] of stepTicks) {
      const place = { x: x(step), y: height - 10, "text-anchor": "middle" };
      make("text", { class: "pc-label", ...place }, svg, text);
    }
    for (const run of line.runs) {
      const steps = plot().grids[run.grid];
      const at = (value, i) => `${x(steps[i]).toFixed(1)},${y(value).toFixed(1)}`;
      const points = run.returns.map(at);
      const attributes = { class: "pc-run", points: points.join(" "), stroke: line.colour };
      if (points.length) make("polyline", attributes, svg);
    }
    if (!line.runs.some((run) => run.returns.length)) element("p", "no curve recorded", figure);
    return figure;
  };

  // ---- controls ---------------------------------------------------------------------------

  data.plots.forEach((p) => element("option", p.env, pickEnv));
  if (data.optimizers.length > 1) element("option", "all", pickOptimizer).value = "";
  data.optimizers.forEach((name) => element("option", name, pickOptimizer));
  const forget = () => {
    brushes.clear();
    pinned = focus = null;
    draw();
  };
  pickEnv.addEventListener("change", forget);
  pickOptimizer.addEventListener("change", forget);
  reset.addEventListener("click", forget);
  for (const control of [useBest, best]) {
    control.addEventListener("input", () => {
      if (control === best) useBest.checked = true;
      bestOut.textContent = `${best.value} %`;
      draw();
    });
  }
  document.addEventListener("keydown", (event) => event.key === "Escape" && forget());
  new ResizeObserver(() => chart.clientWidth !== view.width && draw()).observe(chart);
  draw();
})();
