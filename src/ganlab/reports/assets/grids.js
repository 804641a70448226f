"use strict";
// Sample grids side by side, with one slider over training for all of them.
for (const panel of document.querySelectorAll(".grids")) {
  const { rows } = parsed(panel.querySelector("script.places")); // [{name, seeds: {seed: {kimg, iteration, width}}}]
  const seeds = [...new Set(rows.flatMap((row) => Object.keys(row.seeds)))];
  const cells = [...panel.querySelectorAll("figure")];
  const sources = new Map(); // the pictures of a run are parsed when it is first shown
  const slider = panel.querySelector("input[type=range]");
  const output = panel.querySelector("output");
  const select = panel.querySelector("select");
  const play = panel.querySelector("button");
  let seed = memory.get("seed", seeds[0]);
  if (!seeds.includes(seed)) [seed] = seeds;
  let places = [];
  let timer = 0;

  const sharpen = (image) => image.classList.toggle("enlarged", image.clientWidth >= image.naturalWidth);
  const pictures = (row) => {
    const name = `${row} ${seed}`;
    if (!sources.has(name)) {
      const all = [...panel.querySelectorAll("script.frames")];
      sources.set(name, parsed(all.find((script) => script.dataset.run === name)));
    }
    return sources.get(name);
  };

  function show() {
    const kimg = places[slider.value];
    output.textContent = `${written(kimg)} kimg`;
    cells.forEach((cell, row) => {
      const run = rows[row].seeds[seed];
      const note = cell.querySelector("figcaption span");
      const image = cell.querySelector("img");
      let at = run ? run.kimg.findLastIndex((value) => value <= kimg) : -1;
      if (run && at < 0) at = 0;
      image.hidden = at < 0;
      if (at < 0) {
        note.textContent = "no grids of this seed";
        return;
      }
      image.src = pictures(row)[at];
      image.style.setProperty("--width", `${run.width}px`);
      note.textContent = run.kimg[at] === kimg ? "" : `at ${written(run.kimg[at])} kimg`;
    });
  }

  function choose() {
    const all = rows.flatMap((row) => row.seeds[seed]?.kimg ?? []);
    places = [...new Set(all)].sort((a, b) => a - b);
    slider.max = places.length - 1;
    const at = memory.get("frame", null);
    slider.value = at === null || at >= places.length ? places.length - 1 : at;
    show();
  }

  function stop() {
    clearInterval(timer);
    timer = 0;
    play.textContent = "play";
  }

  slider.addEventListener("input", () => {
    memory.set("frame", Number(slider.value) === places.length - 1 ? null : Number(slider.value));
    show();
  });
  play.addEventListener("click", () => {
    if (timer) {
      stop();
      return;
    }
    play.textContent = "stop";
    if (Number(slider.value) === places.length - 1) slider.value = 0;
    show();
    timer = setInterval(() => {
      if (Number(slider.value) >= places.length - 1) stop();
      else slider.value = Number(slider.value) + 1;
      show();
    }, 500);
  });
  select?.addEventListener("change", () => {
    seed = select.value;
    memory.set("seed", seed);
    choose();
  });
  for (const cell of cells) {
    const image = cell.querySelector("img");
    image.addEventListener("load", () => sharpen(image));
    addEventListener("resize", () => sharpen(image));
  }
  if (select) select.value = seed;
  choose();
}
