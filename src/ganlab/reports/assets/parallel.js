"use strict";
// Parallel coordinates of a study: an axis for each key and the objective, a line for each trial.
for (const panel of document.querySelectorAll(".parallel")) {
  const { keys, objective, better, trials } = parsed(panel.querySelector("script"));
  const space = "http://www.w3.org/2000/svg";
  const draw = (tag, attributes, text = "") => {
    const element = document.createElementNS(space, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.textContent = text;
    return element;
  };
  const names = [...keys, objective];
  const gap = 150;
  const [left, top, tall] = [70, 34, 260];
  const numbers = (values) => values.every((value) => value !== "" && Number.isFinite(Number(value)));
  const scales = names.map((name, at) => {
    const values = trials.map((trial) => (at < keys.length ? trial.values[name] : trial.objective)).filter((value) => value !== undefined && value !== null);
    if (values.length && numbers(values)) {
      const all = values.map(Number);
      const [low, high] = [Math.min(...all), Math.max(...all)];
      const logarithmic = low > 0 && high / low >= 100;
      const place = logarithmic ? Math.log : (value) => value;
      const share = (value) => (high > low ? (place(Number(value)) - place(low)) / (place(high) - place(low)) : 0.5);
      const ticks = [0, 0.25, 0.5, 0.75, 1].map((at) => (logarithmic ? low * (high / low) ** at : low + (high - low) * at));
      return { share, ticks: (high > low ? ticks : [low]).map((tick) => [share(tick), written(tick)]) };
    }
    const words = [...new Set(values)].sort();
    const share = (value) => (words.length > 1 ? words.indexOf(value) / (words.length - 1) : 0.5);
    return { share, ticks: words.slice(0, 24).map((word) => [share(word), String(word).slice(0, 24)]) };
  });
  const width = left + gap * (names.length - 1) + 90;
  const svg = draw("svg", { viewBox: `0 0 ${width} ${top + tall + 20}`, class: "coordinates", role: "img", "aria-label": "parallel coordinates" });
  const y = (share) => top + tall * (1 - share);
  const said = panel.querySelector(".said");
  const known = trials.filter((trial) => trial.objective !== null);
  const ranked = [...known].sort((a, b) => (better === "higher" ? a.objective - b.objective : b.objective - a.objective));
  ranked.forEach((trial, rank) => { // the best one last, on top of the others
    const points = names.flatMap((name, at) => {
      const value = at < keys.length ? trial.values[name] : trial.objective;
      return value === undefined ? [] : [`${left + gap * at} ${y(scales[at].share(value))}`];
    });
    const share = ranked.length > 1 ? rank / (ranked.length - 1) : 1;
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
    svg.append(draw("text", { x, y: top - 14, class: "name" }, name));
    for (const [share, label] of scales[at].ticks) svg.append(draw("text", { x: x + 5, y: y(share) + 4 }, label));
  });
  svg.style.minWidth = `${Math.min(width, 110 * names.length)}px`;
  panel.querySelector(".scroll").append(svg);
}
