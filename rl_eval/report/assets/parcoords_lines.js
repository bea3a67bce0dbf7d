// The lines of parallel coordinates: elements of the page where they are few, pixels where many.
//
// Many are drawn on a canvas below the axes: at once as many as fit into a frame, evenly from the
// worst to the best, and, when the brush rests, all of them.
"use strict";
const pcLines = (() => {
  const FEW = 600; // lines that are elements
  const SLICE = 6; // milliseconds of drawing in a frame
  const BATCH = 16; // lines between two looks at the clock
  const PALE = 1200; // of the lines outside the brushes, drawn once
  const { make } = dom;

  // Four corners of each cubic piece, in pixels.
  const pieces = (view, line) => {
    const points = view.axes.map((a) => [view.across.get(a.key), line.heights[a.index]]);
    const found = [];
    for (let i = 1; i < points.length; i++) {
      const [[a0, h0], [a1, h1]] = [points[i - 1], points[i]];
      const third = (a1 - a0) / 3;
      found.push([[a0, h0], [a0 + third, h0], [a1 - third, h1], [a1, h1]].map((p) => view.xy(...p)));
    }
    return found;
  };

  const drawElement = (parent, view, line) => {
    const group = make("g", { class: "pc-line", "data-trial": line.id }, parent);
    const shade = line.shade ?? 0;
    group.style.setProperty("--ink", line.colour);
    group.style.setProperty("--shade", shade);
    if (line.dashed) group.classList.add("pc-dashed");
    const corners = pieces(view, line);
    let path = `M${corners[0]?.[0] ?? view.xy(view.across.values().next().value, line.heights[0])}`;
    for (const [, ...rest] of corners) {
      path += `C${rest.map((p) => p.map((v) => v.toFixed(1))).join(" ")}`;
    }
    make("path", { class: "pc-edge", d: path }, group);
    make("path", { class: "pc-ink", d: path }, group);
    return group;
  };

  const asElements = (svg, view, lines) => {
    const parent = make("g", { class: "pc-lines" });
    svg.prepend(parent);
    const nodes = lines.map((line) => drawElement(parent, view, line));
    return (kept) => nodes.forEach((n) => n.classList.toggle("pc-off", !kept.has(n.dataset.trial)));
  };

  const sheet = ({ width, height }) => {
    const canvas = document.createElement("canvas");
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    [canvas.width, canvas.height] = [width * ratio, height * ratio];
    Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
    const pen = canvas.getContext("2d", { willReadFrequently: true });
    pen.scale(ratio, ratio);
    return { canvas, pen };
  };

  const trace = (pen, view, line) => {
    pen.beginPath();
    for (const [from, ...rest] of pieces(view, line)) {
      pen.moveTo(...from);
      pen.bezierCurveTo(...rest.flat());
    }
  };

  const ink = (pen, view, line) => {
    const shade = line.shade ?? 0;
    trace(pen, view, line);
    pen.setLineDash(line.dashed ? [4, 3] : []);
    if (shade > 0.5) {
      Object.assign(pen, { strokeStyle: "#14161a", lineWidth: 1.2 + 1.6 * shade, globalAlpha: 0.5 * shade });
      pen.stroke();
    }
    const look = { strokeStyle: line.colour, lineWidth: 0.9 + shade, globalAlpha: 0.5 + 0.5 * shade };
    Object.assign(pen, look);
    pen.stroke();
  };

  // Drawing is only noted down until a pixel is asked for, and a note takes no time.
  const finished = (pen) => pen.getImageData(0, 0, 1, 1);

  const some = (lines, count) => {
    const every = Math.max(1, lines.length / count);
    const picked = [];
    for (let at = lines.length - 1; at >= 0; at -= every) picked.push(lines[Math.round(at)]);
    return picked.reverse(); // the best is there and comes last
  };

  const asPixels = (chart, view, lines) => {
    const shown = sheet(view);
    shown.canvas.className = "pc-lines pc-canvas";
    chart.prepend(shown.canvas);
    const pale = sheet(view);
    Object.assign(pale.pen, { strokeStyle: "#d5d9df", lineWidth: 0.7, globalAlpha: 0.55 });
    for (const line of some(lines, PALE)) {
      trace(pale.pen, view, line);
      pale.pen.stroke();
    }
    const copy = (from, to) => {
      to.pen.clearRect(0, 0, view.width, view.height);
      to.pen.globalAlpha = 1;
      to.pen.drawImage(from.canvas, 0, 0, view.width, view.height);
    };
    const whole = sheet(view);
    let [latest, each] = [0, 0.05]; // milliseconds a line, as measured
    return (kept) => {
      const mine = ++latest;
      const inside = lines.filter((line) => kept.has(line.id));
      const all = inside.length === lines.length;
      let at = -1; // of the line to be drawn next
      const step = () => {
        if (mine !== latest || !shown.canvas.isConnected) return;
        const begun = performance.now();
        if (at < 0) {
          if (all) shown.pen.clearRect(0, 0, view.width, view.height);
          else copy(pale, shown);
          const first = some(inside, Math.max(BATCH, SLICE / each));
          const ready = performance.now();
          first.forEach((line) => ink(shown.pen, view, line));
          finished(shown.pen);
          if (first.length) each = (performance.now() - ready) / first.length;
          if (first.length === inside.length) return finish();
          if (all) whole.pen.clearRect(0, 0, view.width, view.height);
          else copy(pale, whole);
          at = 0;
        } else {
          while (at < inside.length && performance.now() - begun < SLICE) {
            const batch = inside.slice(at, (at += BATCH));
            batch.forEach((line) => ink(whole.pen, view, line));
            finished(whole.pen);
          }
          if (at >= inside.length) {
            copy(whole, shown);
            return finish();
          }
        }
        requestAnimationFrame(step);
      };
      const finish = () => (chart.dataset.drawn = inside.length);
      delete chart.dataset.drawn;
      requestAnimationFrame(step);
    };
  };

  // Draws lines that come with the best last; what is returned shows those of a set of ids.
  const draw = (chart, svg, view, lines) =>
    lines.length > FEW ? asPixels(chart, view, lines) : asElements(svg, view, lines);

  return { draw, drawElement };
})();
