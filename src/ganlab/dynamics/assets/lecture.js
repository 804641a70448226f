"use strict";
// The page: the tour, the controls, and what follows from them.

(() => {
  const texts = JSON.parse(document.getElementById("texts").textContent);
  const numbers = JSON.parse(texts.numbers);
  const settings = Settings(texts, numbers), { number } = settings.judgement;
  const { CONVERGES, SUBLINEAR, CYCLES, DIVERGES } = numbers.words;
  const SIGNS = { [CONVERGES]: "✓", [SUBLINEAR]: "~", [CYCLES]: "↻", [DIVERGES]: "✗" };
  const KINDS = { [CONVERGES]: "good", [SUBLINEAR]: "fair", [CYCLES]: "turning", [DIVERGES]: "bad" };
  const $ = (id) => document.getElementById(id);

  let stop = 0, setting = null, path = [], now = 0, playing = null, judged = null;

  function element(tag, content = "", attributes = {}) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...[content].flat());
    return made;
  }

  function button(label, act, attributes = {}) {
    const made = element("button", label, { type: "button", ...attributes });
    made.addEventListener("click", act);
    return made;
  }

  // --- the tour

  function show(index) {
    stop = Math.max(0, Math.min(texts.stops.length - 1, index));
    const { title, text, look, tries, source } = texts.stops[stop];
    const later = texts.stops[stop + 1];
    $("stop").replaceChildren(
      element("h2", `${stop + 1}. ${title}`),
      ...text.map((paragraph) => element("p", paragraph)),
      element("p", [element("b", "Look: "), look], { class: "look" }),
      element("div", [element("span", "Try:"), ...tries.map((one) => button(one.label, () => choose(one.setting), {
        class: "try", "data-setting": JSON.stringify(one.setting),
      }))], { class: "tries" }),
      element("p", source, { class: "source muted" }),
      element("div", [
        button("← Back", () => show(stop - 1), stop === 0 ? { disabled: "" } : {}),
        button(later ? `Next: ${later.title}\u00a0→` : "Begin again", () => show(later ? stop + 1 : 0), { class: "next" }),
      ], { class: "turn" }),
    );
    [...$("stops").children].forEach((each, i) => {
      if (i === stop) each.setAttribute("aria-current", "step"); else each.removeAttribute("aria-current");
    });
    history.replaceState(null, "", `#${stop + 1}`);
    choose(tries[0].setting);
  }

  function choose(chosen) {
    setting = structuredClone(chosen);
    fill();
    changed();
  }

  // --- the controls

  const sliders = []; // each: (setting) -> show its value

  // A slider for setting[key], or for one player's entry of it. `logarithmic` ones go over powers of ten.
  function slider(label, { least, most, step, logarithmic = false }, get, set) {
    const input = element("input", "", { type: "range", "aria-label": label }), shown = element("output");
    const to = logarithmic ? Math.log10 : (x) => x, from = logarithmic ? (x) => 10 ** x : (x) => x;
    Object.assign(input, { min: to(least), max: to(most), step: logarithmic ? "any" : step });
    input.addEventListener("input", () => {
      set(Number(from(Number(input.value)).toPrecision(2)));
      changed();
    });
    sliders.push(() => {
      input.value = to(get());
      shown.textContent = number(get());
    });
    return element("label", [element("span", label), input, shown], { class: "slider" });
  }

  function choice(id, options, set) {
    const made = element("select", options.map((name) => element("option", name || "none", { value: name })), { id });
    made.addEventListener("change", () => {
      set(made.value);
      fill();
      changed();
    });
    return made;
  }

  // Both players' sliders of setting[key]; with the box ticked one moves the other.
  function pair(key, label, range) {
    const box = element("input", "", { type: "checkbox", id: `same-${key}` });
    sliders.push(() => { box.checked = setting[key][0] === setting[key][1]; });
    const set = (i) => (value) => {
      setting[key] = box.checked ? [value, value] : setting[key].map((old, k) => (k === i ? value : old));
      if (box.checked) refresh();
    };
    box.addEventListener("change", () => {
      if (!box.checked) return;
      setting[key] = [setting[key][0], setting[key][0]];
      refresh();
      changed();
    });
    const names = ["of D", "of G"];
    return element("fieldset", [
      element("legend", [label, element("label", [box, "same for both"], { class: "same" })]),
      ...names.map((name, i) => slider(name, range, () => setting[key][i], set(i))),
    ]);
  }

  function build() {
    texts.stops.forEach((one, i) => $("stops").append(button(String(i + 1), () => show(i), { title: one.title })));
    const names = (offers) => offers.map((offer) => offer.name);
    $("controls").append(
      element("label", ["Loss", choice("loss", names(texts.losses), (name) => { setting.loss = name; })], { class: "choice" }),
      element("p", "", { id: "formula", class: "muted formula" }),
      element("label", ["Regularizer", choice("regularizer", ["", ...names(texts.regularizers)], (name) => {
        setting.regularizer = name;
        setting.strength = settings.regularizerOf(setting)?.strength.first ?? 0;
      })], { class: "choice" }),
      element("div", "", { id: "strength" }),
      element("p", "", { id: "about", class: "muted formula" }),
      element("label", ["Update", choice("update", texts.updates, (name) => { setting.update = name; })], { class: "choice" }),
      slider("steps of D an iteration", { least: 1, most: 5, step: 1 }, () => setting.steps, (x) => { setting.steps = x; }),
      pair("rates", "Step size", { least: 0.01, most: 1, logarithmic: true }),
      pair("momentum", "Momentum", { least: -0.9, most: 0.9, step: 0.05 }),
      slider("iterations shown", { least: 30, most: 3000, logarithmic: true }, () => setting.iterations, (x) => {
        setting.iterations = Math.round(x);
      }),
    );
  }

  // Show what is chosen in the controls.
  function fill() {
    for (const key of ["loss", "regularizer", "update"]) $(key).value = setting[key];
    const offer = settings.regularizerOf(setting);
    $("formula").textContent = settings.lossOf(setting).formula;
    $("about").textContent = offer === null ? "" : offer.about;
    $("strength").replaceChildren();
    ofStrength.length = 0;
    if (offer !== null) strength(offer);
    refresh();
  }

  const ofStrength = [];

  function strength(offer) {
    const { option, least, most } = offer.strength, before = sliders.length;
    $("strength").append(slider(option, { least, most, step: most / 200 }, () => setting.strength, (value) => {
      setting.strength = value;
    }));
    ofStrength.push(...sliders.splice(before));
    const critical = settings.critical(setting);
    if (critical === null) return;
    const set = () => { setting.strength = critical; refresh(); changed(); };
    $("strength").append(element("p", [
      `The flow swings below ${option} = ${number(critical)}, and creeps above. `, button("set it there", set, { class: "link" }),
    ], { class: "muted formula" }));
  }

  const refresh = () => [...sliders, ...ofStrength].forEach((update) => update());

  // --- what follows

  let waiting = null;

  function changed() {
    pause();
    refresh();
    const refused = settings.refusal(setting);
    $("refused").textContent = refused ?? "";
    $("lab").classList.toggle("refused", refused !== null);
    for (const each of document.querySelectorAll(".try")) {
      each.setAttribute("aria-pressed", String(each.dataset.setting === JSON.stringify(setting)));
    }
    $("command").textContent = `ganlab dynamics ${settings.words(setting).map(quoted).join(" ")}`;
    if (refused !== null) return;
    path = Dirac.trajectory(settings.game(setting), [setting.start[1], setting.start[0]], setting.iterations);
    now = path.length - 1;
    judge();
    draw();
  }

  const quoted = (word) => (/^[\w.=,-]+$/.test(word) ? word : `'${word}'`);

  let judgedOf = ""; // the game that was judged; neither the start nor what is shown changes the verdict

  function judge() {
    const of = JSON.stringify({ ...setting, start: null, iterations: null });
    if (of === judgedOf) { say(); return; }
    judgedOf = of;
    clearTimeout(waiting);
    const game = settings.game(setting), theory = settings.judgement.theory(game);
    judged = { theory, verdict: theory, simulation: null };
    if (theory.word !== numbers.words.UNDECIDED) { say(); return; }
    $("verdict").replaceChildren(element("p", "…", { class: "word" }));
    waiting = setTimeout(() => { judged = settings.verdict(setting); say(); }, 120);
  }

  function say() {
    if (judged.verdict.word === numbers.words.UNDECIDED && judged.simulation === null) return; // it comes in a moment
    const { theory, simulation, verdict } = judged, word = verdict.word;
    const lines = [element("p", [element("span", `${SIGNS[word] ?? "?"} `, { "aria-hidden": "true" }), word], {
      class: `word ${KINDS[word] ?? ""}`,
    })];
    if (verdict.rate !== null && verdict.rate !== undefined) lines.push(element("p", speed(verdict)));
    lines.push(element("p", sentence(theory.reason)));
    if (simulation !== null) lines.push(element("p", minus(`The trajectories: ${simulation.reason}.`)));
    $("verdict").replaceChildren(...lines);
    $("flow-says").textContent = theory.flow === null ? theory.ofFlow : minus(`${shown(theory.flow)}. ${theory.ofFlow}`);
    $("map-says").textContent = theory.map === null ? "" : `${shown(theory.map.slice(0, 4))}; the largest modulus is ${
      number(Eigenvalues.abs(theory.map[0]), 6)}.`;
    draw();
  }

  function speed({ rate, word }) {
    const count = Math.log(2) / Math.abs(Math.log(rate));
    const often = count < 1.5 ? "in about one iteration" : `every ${number(Math.round(count), 6)} iterations`;
    return word === CONVERGES ? `In the end the distance halves ${often}.` : `In the end the distance doubles ${often}.`;
  }

  const sentence = (words) => minus(`${words[0].toUpperCase()}${words.slice(1)}.`);
  const minus = (words) => words.replace(/(^|[ (^])-(?=\d)/g, "$1−");

  function shown(values) {
    const known = values.filter(([, imaginary]) => imaginary >= 0);
    return known.map(([a, b]) => (b === 0 ? signed(a) : `${signed(a)} ± ${number(b)}i`)).join(", ");
  }

  const signed = (x) => number(Math.abs(x) < 1e-10 ? 0 : x).replace("-", "−");

  function draw() {
    if (setting === null || settings.refusal(setting) !== null) return;
    const game = settings.game(setting), at = path[Math.min(now, path.length - 1)] ?? [0, 0];
    Pictures.plane($("plane"), { game, path, start: setting.start, now });
    Pictures.energy($("energy"), at);
    Pictures.eigenvalues($("flow"), "flow", judged?.theory.flow ?? null);
    Pictures.eigenvalues($("map"), "map", judged?.theory.map ?? null);
    Pictures.distance($("distance"), path, now);
    $("at").textContent = `iteration ${Math.round(now)}: θ = ${signed(at[1])}, ψ = ${signed(at[0])}`;
  }

  // --- playing and dragging

  function play() {
    if (playing !== null) { pause(); return; }
    const end = path.length - 1, seconds = Math.max(4, Math.min(12, end / 40)), first = now >= end ? 0 : now;
    const begun = performance.now() - 1000 * seconds * first / end;
    $("play").textContent = "Pause";
    const frame = (time) => {
      now = Math.min(end, Math.floor(end * (time - begun) / (1000 * seconds)));
      now = Math.max(0, now);
      draw();
      if (now >= end) pause(); else playing = requestAnimationFrame(frame);
    };
    playing = requestAnimationFrame(frame);
  }

  function pause() {
    if (playing !== null) cancelAnimationFrame(playing);
    playing = null;
    $("play").textContent = "Play";
  }

  function move(theta, psi) {
    const within = (x) => Number(Math.max(-2.1, Math.min(2.1, x)).toFixed(3));
    setting.start = [within(theta), within(psi)];
    changed();
  }

  function dragging() {
    const plane = $("plane");
    let held = false;
    const at = (event) => {
      const box = plane.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top, box.width];
    };
    const near = (event) => {
      const [x, y, size] = at(event), [a, b] = Pictures.place(size, ...setting.start);
      return Math.hypot(x - a, y - b) < 36;
    };
    const to = (event) => { const [x, y, size] = at(event); move(...Pictures.value(size, x, y)); };
    plane.addEventListener("touchstart", (event) => { if (near(event.touches[0])) event.preventDefault(); }, { passive: false });
    plane.addEventListener("pointerdown", (event) => {
      if (event.pointerType === "touch" && !near(event)) return;
      held = true;
      plane.setPointerCapture(event.pointerId);
      to(event);
    });
    plane.addEventListener("pointermove", (event) => { if (held) to(event); });
    for (const name of ["pointerup", "pointercancel"]) plane.addEventListener(name, () => { held = false; });
    plane.addEventListener("click", to);
    plane.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: [-0.05, 0], ArrowRight: [0.05, 0], ArrowUp: [0, 0.05], ArrowDown: [0, -0.05] }[event.key];
      if (!by) return;
      event.preventDefault();
      move(setting.start[0] + by[0], setting.start[1] + by[1]);
    });
  }

  // --- all of them at once

  async function all() {
    $("compute").disabled = true;
    const { update, steps, rates, momentum } = setting, head = texts.losses.map((loss) => element("th", loss.name));
    const body = element("tbody");
    $("all").replaceChildren(element("table", [element("thead", element("tr", [element("th", "regularizer"), ...head])), body]));
    for (const offer of [null, ...texts.regularizers]) {
      const name = offer?.name ?? "", row = element("tr", element("td", name || "none"));
      body.append(row);
      for (const loss of texts.losses) {
        const one = {
          ...setting, update, steps, rates, momentum, loss: loss.name, regularizer: name, strength: offer?.strength.first ?? 0,
        };
        row.append(element("td", settings.refusal(one) === null ? cell(one) : "–"));
      }
      await new Promise((resolve) => { setTimeout(resolve); });
    }
    $("compute").disabled = false;
  }

  function cell(one) {
    const { verdict } = settings.verdict(one);
    return button(SIGNS[verdict.word] ?? "?", () => { choose(one); $("lab").scrollIntoView({ behavior: "smooth" }); }, {
      class: `cell ${KINDS[verdict.word] ?? ""}`, title: `${one.loss}, ${one.regularizer || "none"}: ${verdict.word}`,
      "aria-label": verdict.word,
    });
  }

  // --- begin

  build();
  dragging();
  $("play").addEventListener("click", play);
  $("compute").addEventListener("click", all);
  new ResizeObserver(() => requestAnimationFrame(draw)).observe($("lab"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  addEventListener("hashchange", () => { if (Number(location.hash.slice(1)) !== stop + 1) show(Number(location.hash.slice(1)) - 1); });
  show((Number(location.hash.slice(1)) || 1) - 1);
  window.ganlab = { get setting() { return setting; }, get judged() { return judged; }, get path() { return path; } };
})();
