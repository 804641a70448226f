"use strict";
// Parallel coordinates of a study: an axis for each key and the objective, a line for each trial.
for (const panel of document.querySelectorAll(".parallel")) {
  const { keys, logarithmic, objective, trials } = parsed(panel.querySelector("script"));
  const space = "http://www.w3.org/2000/svg";
  const draw = (tag, attributes, text = "") => {
    const element = document.createElementNS(space, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.textContent = text;
    return element;
  };
  const names = [...keys, objective];
  // a name is two lines, optimizer.generator and lr
  const parts = names.map((name) => [name.split(".").slice(0, -1).join("."), name.split(".").at(-1)]);
  const widest = Math.max(...parts.flat().map((part) => 8.2 * part.length));
  const gap = Math.max(150, widest + 16);
  const [left, top, tall] = [Math.max(50, widest / 2 + 4), 50, 260];
  const numbers = (values) => values.every((value) => value !== "" && Number.isFinite(Number(value)));
  const scales = names.map((name, at) => {
    const values = trials.map((trial) => (at < keys.length ? trial.values[name] : trial.objective)).filter((value) => value !== undefined && value !== null);
    if (values.length && numbers(values)) {
      const all = values.map(Number);
      const [low, high] = [Math.min(...all), Math.max(...all)];
      const isLogarithmic = logarithmic.includes(name) && low > 0;
      const place = isLogarithmic ? Math.log : (value) => value;
      const share = (value) => (high > low ? (place(Number(value)) - place(low)) / (place(high) - place(low)) : 0.5);
      const ticks = [0, 0.25, 0.5, 0.75, 1].map((at) => (isLogarithmic ? low * (high / low) ** at : low + (high - low) * at));
      return { share, ticks: (high > low ? ticks : [low]).map((tick) => [share(tick), written(tick)]) };
    }
    const words = [...new Set(values)].sort();
    const share = (value) => (words.length > 1 ? words.indexOf(value) / (words.length - 1) : 0.5);
    return { share, ticks: words.slice(0, 24).map((word) => [share(word), String(word).slice(0, 24)]) };
  });
  const width = left + gap * (names.length - 1) + Math.max(80, widest / 2 + 4);
  const svg = draw("svg", { viewBox: `0 0 ${width} ${top + tall + 20}`, class: "coordinates", role: "img", "aria-label": "parallel coordinates" });
  const y = (share) => top + tall * (1 - share);
  const said = panel.querySelector(".said");
  trials.forEach((trial, rank) => { // the best one last, on top of the others
    const points = names.flatMap((name, at) => {
      const value = at < keys.length ? trial.values[name] : trial.objective;
      return value === undefined ? [] : [`${left + gap * at} ${y(scales[at].share(value))}`];
    });
    const share = trials.length > 1 ? rank / (trials.length - 1) : 1;
    const line = draw("path", { d: `M${points.join("L")}`, style: `--share: ${Math.round(100 * share)}%` });
    const tell = () => {
      const chosen = keys.filter((key) => key in trial.values).map((key) => `${key}=${trial.values[key]}`);
      said.textContent = `${trial.name}: ${chosen.join(", ")}: ${objective} ${written(trial.objective)}`;
    };
    line.addEventListener("pointerenter", tell);
    line.addEventListener("click", tell);
    svg.append(line);
  });
  names.forEach((name, at) => {
    const x = left + gap * at;
    svg.append(draw("line", { x1: x, x2: x, y1: top, y2: top + tall }));
    parts[at].forEach((part, line) => svg.append(draw("text", { x, y: top - 30 + 16 * line, class: "name" }, part)));
    for (const [share, label] of scales[at].ticks) svg.append(draw("text", { x: x + 5, y: y(share) + 4 }, label));
  });
  svg.style.minWidth = `${Math.round(0.85 * width)}px`;
  svg.style.maxWidth = `${Math.round(1.6 * width)}px`;
  panel.querySelector(".scroll").append(svg);
}
