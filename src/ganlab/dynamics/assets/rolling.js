"use strict";
// The landscape of many pits on the page: samples that roll with a momentum that the reader chooses.

(() => {
  const REACH = 6, COLOURS = [[26, 52, 110], [222, 235, 230], [196, 92, 50]]; // from pits to hills
  const texts = JSON.parse(document.getElementById("texts").textContent);
  const pits = Pits(JSON.parse(texts.numbers).pits);
  const canvas = document.getElementById("pits"), says = document.getElementById("pits-says");
  const slider = document.getElementById("pits-momentum"), shown = document.getElementById("pits-value");
  let ground = null, rolling = null, places = null, step = 0, timer = null;

  function landscape(side) {
    const heights = [];
    for (let row = 0; row < side; row++) {
      for (let column = 0; column < side; column++) {
        heights.push(pits.energy([(2 * column / side - 1) * REACH, (1 - 2 * row / side) * REACH]));
      }
    }
    const low = Math.min(...heights.slice(0, side)), deep = heights.reduce((a, b) => Math.min(a, b), low);
    const high = heights.reduce((a, b) => Math.max(a, b), deep), image = new ImageData(side, side);
    heights.forEach((height, i) => {
      const share = 2 * (height - deep) / (high - deep), [from, to] = share < 1 ? [0, 1] : [1, 2];
      const edge = Math.floor(share * 6) !== Math.floor(2 * (heights[i - 1] - deep) / (high - deep) * 6) ? 0.85 : 1;
      for (let c = 0; c < 3; c++) {
        image.data[4 * i + c] = edge * (COLOURS[from][c] + (COLOURS[to][c] - COLOURS[from][c]) * (share - from));
      }
      image.data[4 * i + 3] = 255;
    });
    return createImageBitmap(image);
  }

  async function draw() {
    const size = canvas.getBoundingClientRect().width, dense = window.devicePixelRatio || 1;
    ground ??= await landscape(300);
    canvas.width = canvas.height = Math.round(size * dense);
    const pen = canvas.getContext("2d");
    pen.scale(dense, dense);
    pen.imageSmoothingEnabled = true;
    pen.drawImage(ground, 0, 0, size, size);
    pen.fillStyle = "rgb(255, 205, 40)";
    pen.strokeStyle = "rgba(60, 40, 0, .55)";
    pen.lineWidth = 0.6;
    for (const [x, y] of places) {
      pen.beginPath();
      pen.arc((x / REACH + 1) * size / 2, (1 - y / REACH) * size / 2, 2.1, 0, 2 * Math.PI);
      pen.fill();
      pen.stroke();
    }
    says.textContent = `Step ${step} of ${pits.steps}: ${pits.left(places)} of ${places.length} samples are in another pit `
      + "than the one that was nearest at the start.";
  }

  function advance(count) {
    for (let k = 0; k < count; k++) {
      const next = rolling.next();
      if (next.done) return false;
      places = next.value;
      step += 1;
    }
    return true;
  }

  function begin() {
    cancelAnimationFrame(timer);
    rolling = pits.roll(Number(slider.value));
    places = rolling.next().value;
    step = 0;
    shown.textContent = Number(slider.value).toFixed(2);
    document.querySelectorAll("[data-momentum]").forEach((each) => {
      each.setAttribute("aria-pressed", String(Number(each.dataset.momentum) === Number(slider.value)));
    });
  }

  function play() {
    begin();
    const next = () => {
      const more = advance(step < 60 ? 1 : 3);
      draw();
      if (more && step < pits.steps) timer = requestAnimationFrame(next);
    };
    next();
  }

  slider.addEventListener("input", () => { begin(); draw(); });
  document.getElementById("pits-play").addEventListener("click", play);
  document.querySelectorAll("[data-momentum]").forEach((each) => each.addEventListener("click", () => {
    slider.value = each.dataset.momentum;
    play();
  }));
  new ResizeObserver(() => requestAnimationFrame(draw)).observe(canvas.parentElement);
  begin();
})();
