"use strict";
// Curves by uPlot: an axis for all, bands, values under the pointer, zoom, and lines that can be hidden.
(() => {
  const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3]];
  const MARKED = 40; // points that a line may have so that each gets a marker
  const LISTED = 12; // lines that the box beside the pointer names
  const AXES = { kimg: "kimg", images: "images", seconds: "seconds of training" };
  const clocks = parsed(document.getElementById("clocks")) ?? {};
  const root = document.documentElement;
  const variable = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const colour = (place) => variable(`--s${((place - 1) % 8) + 1}`);
  const dash = (place) => DASHES[(place - 1) % DASHES.length];
  const plots = []; // {figure, plot, panel, drawn}

  const interpolated = (x, xs, ys) => {
    const after = xs.findIndex((value) => value >= x);
    if (after <= 0) return ys[after === 0 ? 0 : ys.length - 1];
    const share = (x - xs[after - 1]) / (xs[after] - xs[after - 1]);
    return ys[after - 1] + share * (ys[after] - ys[after - 1]);
  };

  function across(plot, trace, axis) {
    const clock = clocks[trace.clock];
    if (plot.x !== "kimg" || axis === "kimg") return trace.x;
    if (axis === "images") return trace.x.map((x) => 1000 * x);
    return clock ? trace.x.map((x) => interpolated(x, [0, ...clock.kimg], [0, ...clock.seconds])) : trace.x;
  }

  const nearest = (xs, x) => {
    let best = -1;
    xs.forEach((value, at) => {
      if (best < 0 || Math.abs(value - x) < Math.abs(xs[best] - x)) best = at;
    });
    return best;
  };

  const hasValue = (data, at) => data[at] !== null && data[at] !== undefined;

  function nearestValue(u, series, at) {
    const data = u.data[series];
    for (let step = 0; step < data.length; step += 1) {
      if (hasValue(data, at - step)) return at - step;
      if (hasValue(data, at + step)) return at + step;
    }
    return at;
  }

  function draw(one) {
    const { figure, plot, panel } = one;
    const place = figure.querySelector(".canvas");
    const axis = plot.x === "kimg" ? panel.axis : plot.x;
    const xs = plot.traces.map((trace) => across(plot, trace, panel.axis));
    one.xs = xs;
    const least = Math.min(...plot.traces.flatMap((trace) => [trace.y, ...trace.each].flat()).filter((y) => y !== null));
    const logarithmic = (panel.logarithmic ?? plot.logarithmic) && least > 0 && !(plot.level && plot.level.value <= 0);
    const end = (ys) => (logarithmic ? ys?.map((y) => (y === null ? y : Math.max(y, least / 10))) : ys); // a band may reach below 0
    const tables = plot.traces.map((trace, at) => [xs[at], trace.y, end(trace.low) ?? trace.y, end(trace.high) ?? trace.y, ...trace.each]);
    const series = [{}];
    const bands = [];
    const first = []; // of each trace in series
    plot.traces.forEach((trace, at) => {
      const shown = !panel.hidden.has(trace.name);
      const stroke = () => colour(trace.place);
      first.push(series.length);
      series.push({ label: trace.name, show: shown, stroke, width: 2, dash: dash(trace.place), points: { show: xs[at].length <= MARKED, size: 5, fill: stroke } });
      const invisible = { show: shown && Boolean(trace.low), stroke: "transparent", width: 0, points: { show: false } };
      series.push(invisible, { ...invisible });
      if (trace.low) {
        bands.push({ series: [series.length - 1, series.length - 2], fill: () => `${colour(trace.place)}2e` });
      }
      for (const _ of trace.each) {
        series.push({ show: shown && panel.each, stroke: () => `${colour(trace.place)}90`, width: 1, points: { show: false } });
      }
    });
    const text = () => variable("--muted");
    const font = `${Math.round(parseFloat(getComputedStyle(figure).fontSize) * 0.8)}px system-ui, sans-serif`;
    const grid = { stroke: () => variable("--rule"), width: 1 };
    const box = make("div", { class: "pointed", hidden: true });
    const options = {
      width: place.clientWidth || 320,
      height: height(figure, place),
      legend: { show: false },
      cursor: {
        dataIdx: (u, at, index) => (at === 0 ? index : nearestValue(u, at, index)),
        drag: { x: true, y: false, setScale: true },
        points: { size: 7 },
        sync: { key: panel.key, scales: ["x", null], setSeries: false },
      },
      scales: {
        x: { time: false },
        y: {
          distr: logarithmic ? 3 : 1,
          range: (u, low, high) => {
            if (low === null) return [0, 1];
            const ends = limits(u, one, low, high);
            return logarithmic ? uPlot.rangeLog(Math.max(low, ends[0]), ends[1], 10, false) : uPlot.rangeNum(...ends, 0.08, true);
          },
        },
      },
      axes: [
        { label: AXES[axis] ?? axis, labelSize: 20, labelGap: 0, size: 30, font, labelFont: font, stroke: text, grid: { show: false }, ticks: { show: false }, values: (u, ticks) => ticks.map(written) },
        { size: 56, font, stroke: text, grid, ticks: { show: false }, values: (u, ticks) => ticks.map((tick) => (tick === null ? "" : written(tick))) },
      ],
      series,
      bands,
      hooks: {
        ready: [(u) => { u.over.append(box); touchable(u); }],
        draw: [(u) => drawLevel(u, plot.level, font)],
        setScale: [(u, name) => { if (name === "x") figure.classList.toggle("zoomed", isZoomed(u)); }],
        setCursor: [(u) => tell(u, box, plot, xs, panel)],
      },
    };
    one.drawn?.destroy();
    one.first = first;
    one.drawn = new uPlot(options, uPlot.join(tables), place);
  }

  // From the lines and the level; bands, which are huge over two seeds, widen it threefold at most.
  function limits(u, { plot, panel, xs }, low, high) {
    let [least, most] = plot.level ? [plot.level.value, plot.level.value] : [Infinity, -Infinity];
    const { min, max } = u.scales.x;
    plot.traces.forEach((trace, at) => {
      if (panel.hidden.has(trace.name)) return;
      for (const ys of [trace.y, ...(panel.each ? trace.each : [])]) {
        ys.forEach((y, index) => {
          const x = xs[at][index];
          if (y === null || x < min || x > max) return;
          least = Math.min(least, y);
          most = Math.max(most, y);
        });
      }
    });
    if (!(most > least)) return [low, high];
    return [Math.max(Math.min(low, least), least - (most - least)), Math.min(Math.max(high, most), most + (most - least))];
  }

  const height = (figure, place) => Math.round(Math.max(190, Math.min(figure.classList.contains("wide") ? 560 : 380, 0.58 * place.clientWidth)));

  const isZoomed = (u) => {
    const x = u.data[0];
    return x.length > 1 && (u.scales.x.min > x[0] || u.scales.x.max < x[x.length - 1]);
  };

  function drawLevel(u, level, font) {
    if (!level) return;
    const { ctx, bbox } = u;
    const y = u.valToPos(level.value, "y", true);
    if (!(y >= bbox.top && y <= bbox.top + bbox.height)) return;
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = variable("--muted");
    ctx.setLineDash([5 * devicePixelRatio, 4 * devicePixelRatio]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    ctx.font = font.replace(/^\d+/, (size) => size * devicePixelRatio);
    ctx.textAlign = "right";
    ctx.fillText(level.name, bbox.left + bbox.width - 4, y - 5 * devicePixelRatio);
    ctx.restore();
  }

  // The box beside the pointer: x, and the value of each line there with its interval.
  function tell(u, box, plot, xs, panel) {
    const { left, top } = u.cursor;
    box.hidden = !(left >= 0 && u.over.matches(":hover"));
    if (box.hidden) return;
    const x = u.posToVal(left, "x");
    let rows = plot.traces.flatMap((trace, at) => {
      if (panel.hidden.has(trace.name) || !xs[at].length) return [];
      const index = nearest(xs[at], x);
      const reach = 0.02 * (u.scales.x.max - u.scales.x.min);
      if (x < xs[at][0] - reach || x > xs[at][xs[at].length - 1] + reach) return [];
      const value = trace.y[index];
      if (value === null) return [];
      const ends = trace.low && trace.low[index] !== null ? ` (${written(trace.low[index])} to ${written(trace.high[index])})` : "";
      const label = trace.labels ? trace.labels[index] : "";
      return [{ trace, value, x: xs[at][index], text: label || `${written(value)}${ends}`, far: Math.abs(u.valToPos(value, "y") - top) }];
    });
    const more = rows.length - LISTED;
    rows = rows.sort((a, b) => a.far - b.far);
    const at = rows[0]?.x ?? x;
    rows = rows.slice(0, LISTED).sort((a, b) => b.value - a.value);
    const axis = plot.x === "kimg" ? panel.axis : plot.x;
    box.replaceChildren(make("div", { class: "muted" }, `${written(at)} ${axis}`));
    for (const { trace, text } of rows) {
      const name = plot.traces.length > 1 ? `${trace.name} ` : "";
      box.append(make("div", {}, swatch(trace.place), name, make("b", {}, text)));
    }
    if (more > 0) box.append(make("div", { class: "muted" }, `${more} further lines`));
    const right = left > u.over.clientWidth / 2;
    box.style.left = right ? "" : `${left + 14}px`;
    box.style.right = right ? `${u.over.clientWidth - left + 14}px` : "";
    box.style.top = `${Math.max(-10, Math.min(top - 10, u.over.clientHeight - box.offsetHeight))}px`;
  }

  // A finger that moves sideways zooms as a mouse does; up and down still scrolls the page.
  function touchable(u) {
    const names = { pointerdown: "mousedown", pointermove: "mousemove", pointerup: "mouseup" };
    for (const [pointer, mouse] of Object.entries(names)) {
      u.over.addEventListener(pointer, (event) => {
        if (event.pointerType === "mouse") return;
        const { clientX, clientY } = event;
        const target = mouse === "mouseup" ? document : u.over;
        target.dispatchEvent(new MouseEvent(mouse, { clientX, clientY, button: 0, bubbles: true }));
      });
    }
  }

  function swatch(place) {
    const space = "http://www.w3.org/2000/svg";
    const svg = document.createElementNS(space, "svg");
    svg.setAttribute("class", "swatch");
    svg.setAttribute("viewBox", "0 0 26 6");
    const line = document.createElementNS(space, "path");
    line.setAttribute("d", "M0 3H26");
    line.setAttribute("style", `stroke: var(--s${((place - 1) % 8) + 1})`);
    line.setAttribute("stroke-dasharray", dash(place).join(" "));
    svg.append(line);
    return svg;
  }

  function toggle(panel, name) {
    if (panel.hidden.has(name)) panel.hidden.delete(name);
    else panel.hidden.add(name);
    memory.set(`hidden ${panel.key}`, [...panel.hidden]);
    refresh(panel);
  }

  function refresh(panel) {
    for (const one of plots) {
      if (one.panel !== panel || !one.drawn) continue;
      one.plot.traces.forEach((trace, at) => {
        const shown = !panel.hidden.has(trace.name);
        const from = one.first[at];
        one.drawn.setSeries(from, { show: shown });
        for (const end of [1, 2]) one.drawn.setSeries(from + end, { show: shown && Boolean(trace.low) });
        trace.each.forEach((_, seed) => one.drawn.setSeries(from + 3 + seed, { show: shown && panel.each }));
      });
    }
    for (const button of panel.element.querySelectorAll(".legend button")) {
      button.setAttribute("aria-pressed", String(!panel.hidden.has(button.dataset.name)));
    }
  }

  function legend(panel, traces) {
    const keys = make("p", { class: "legend" });
    for (const trace of traces) {
      const button = make("button", { type: "button", class: "key", "aria-pressed": String(!panel.hidden.has(trace.name)), title: "hide or show" }, swatch(trace.place), trace.name);
      button.dataset.name = trace.name;
      button.addEventListener("click", () => toggle(panel, button.dataset.name));
      button.addEventListener("dblclick", () => {
        const others = traces.filter((other) => other.name !== trace.name);
        const alone = others.every((other) => panel.hidden.has(other.name));
        panel.hidden = new Set(alone ? [] : others.map((other) => other.name));
        memory.set(`hidden ${panel.key}`, [...panel.hidden]);
        refresh(panel);
      });
      keys.append(button);
    }
    return keys;
  }

  function option(kind, label, name, isOn, onChange) {
    const input = make("input", { type: kind, name, checked: isOn });
    input.addEventListener("change", () => onChange(input.checked));
    return make("label", {}, input, label);
  }

  function controls(panel, own) {
    const bar = make("div", { class: "controls" });
    const again = () => own.filter((one) => one.drawn).forEach(draw);
    if (own.some((one) => one.plot.x === "kimg")) {
      const known = own.every((one) => one.plot.traces.every((trace) => clocks[trace.clock]?.seconds.at(-1) > 0));
      const choices = make("span", { role: "radiogroup", "aria-label": "axis" }, "over");
      for (const axis of Object.keys(AXES).filter((axis) => axis !== "seconds" || known)) {
        choices.append(option("radio", axis, `axis ${panel.key}`, axis === panel.axis, () => {
          panel.axis = axis;
          memory.set(`axis ${panel.key}`, axis);
          again();
        }));
      }
      bar.append(choices);
    }
    bar.append(option("checkbox", "log scale", "", panel.logarithmic ?? false, (on) => {
      panel.logarithmic = on;
      memory.set(`log ${panel.key}`, on);
      again();
    }));
    if (own.some((one) => one.plot.traces.some((trace) => trace.each.length))) {
      bar.append(option("checkbox", "each seed", "", panel.each, (on) => {
        panel.each = on;
        memory.set(`each ${panel.key}`, on);
        refresh(panel);
      }));
    }
    bar.append(make("span", { class: "muted" }, "Drag to zoom; a double click shows all."));
    return bar;
  }

  function prepare(element, number) {
    const key = `panel ${number}`;
    const panel = {
      element,
      key,
      axis: memory.get(`axis ${key}`, "kimg"),
      logarithmic: memory.get(`log ${key}`, null),
      each: memory.get(`each ${key}`, false),
      hidden: new Set(memory.get(`hidden ${key}`, [])),
    };
    const own = [...element.querySelectorAll("figure.plot")].map((figure) => {
      const one = { figure, panel, plot: parsed(figure.querySelector("script")), drawn: null };
      figure.querySelector(".enlarge").addEventListener("click", () => {
        figure.classList.toggle("wide");
        draw(one);
      });
      figure.querySelector(".reset").addEventListener("click", () => {
        const x = one.drawn.data[0];
        one.drawn.setScale("x", { min: x[0], max: x[x.length - 1] });
      });
      return one;
    });
    if (!own.length) return;
    plots.push(...own);
    const head = make("div", { class: "panel" }, controls(panel, own));
    if (element.dataset.legend === "shared") {
      const traces = new Map(own.flatMap((one) => one.plot.traces.map((trace) => [trace.name, trace])));
      if (traces.size > 1) head.append(legend(panel, [...traces.values()].sort((a, b) => a.place - b.place)));
    } else {
      for (const one of own) {
        if (one.plot.traces.length > 1) one.figure.querySelector(".canvas").after(legend(panel, one.plot.traces));
      }
    }
    (element.querySelector(".groups") ?? element.querySelector(".charts")).before(head);
    for (const fold of element.querySelectorAll("details")) {
      fold.addEventListener("toggle", () => drawMissing());
    }
  }

  const isFolded = (figure) => figure.closest("details:not([open])") !== null;
  function drawMissing(all = false) {
    for (const one of plots) if (!one.drawn && (all || !isFolded(one.figure))) draw(one);
  }

  function resize(width) {
    for (const { figure, drawn } of plots) {
      if (!drawn || isFolded(figure)) continue;
      const place = figure.querySelector(".canvas");
      const to = width ?? place.clientWidth;
      if (to && to !== drawn.width) drawn.setSize({ width: to, height: width ? 190 : height(figure, place) });
    }
  }

  const redraw = () => plots.forEach((one) => one.drawn?.redraw(false));

  document.querySelectorAll(".plots").forEach(prepare);
  drawMissing();
  let due = 0;
  addEventListener("resize", () => {
    cancelAnimationFrame(due);
    due = requestAnimationFrame(() => resize());
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  addEventListener("beforeprint", () => {
    root.classList.add("printing"); // light colours
    resize(320);
    redraw();
  });
  addEventListener("afterprint", () => {
    root.classList.remove("printing");
    resize();
    redraw();
  });
})();
