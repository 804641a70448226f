"use strict";
// Drawings of the page. Each takes a canvas, what it shows, and the colours of the page's style.

const Pictures = (() => {
  const REACH = 2.2; // of the plane, in θ and ψ

  function colours() {
    const style = getComputedStyle(document.documentElement);
    const of = (name) => style.getPropertyValue(`--${name}`).trim();
    return {
      surface: of("surface"), raised: of("raised"), ink: of("ink"), muted: of("muted"), rule: of("rule"),
      real: of("s3"), fake: of("s2"), path: of("s1"),
    };
  }

  // Clear a canvas at the resolution of the screen; return its context and size in pixels of the page.
  function begin(canvas) {
    const { width, height } = canvas.getBoundingClientRect(), dense = window.devicePixelRatio || 1;
    canvas.width = Math.round(width * dense);
    canvas.height = Math.round(height * dense);
    const pen = canvas.getContext("2d");
    pen.scale(dense, dense);
    pen.font = "12px system-ui, sans-serif";
    pen.lineJoin = "round";
    return { pen, width, height };
  }

  function dot(pen, x, y, radius, fill, ring) {
    pen.beginPath();
    pen.arc(x, y, radius, 0, 2 * Math.PI);
    pen.fillStyle = fill;
    pen.fill();
    if (ring) {
      pen.lineWidth = 2;
      pen.strokeStyle = ring;
      pen.stroke();
    }
  }

  function line(pen, points, colour, width = 1, dashes = []) {
    pen.beginPath();
    points.forEach(([x, y], i) => (i ? pen.lineTo(x, y) : pen.moveTo(x, y)));
    pen.setLineDash(dashes);
    pen.lineWidth = width;
    pen.strokeStyle = colour;
    pen.stroke();
    pen.setLineDash([]);
  }

  function text(pen, words, x, y, colour, align = "left") {
    pen.textAlign = align;
    pen.lineWidth = 4;
    pen.strokeStyle = colours().raised;
    pen.strokeText(words, x, y);
    pen.fillStyle = colour;
    pen.fillText(words, x, y);
  }

  // The name of an axis, above whatever is drawn there.
  function label(pen, words, x, y, c, align) {
    const width = pen.measureText(words).width + 8, left = { left: 0, center: width / 2, right: width }[align];
    pen.fillStyle = c.raised;
    pen.fillRect(x - left - 4 * (align === "left") + 4 * (align === "right"), y - 13, width, 18);
    text(pen, words, x, y, c.ink, align);
  }

  function arrow(pen, x, y, dx, dy, colour) {
    const angle = Math.atan2(dy, dx), head = Math.min(5, Math.hypot(dx, dy) * 0.5);
    const end = [x + dx / 2, y + dy / 2];
    line(pen, [[x - dx / 2, y - dy / 2], end], colour, 1.2);
    const [left, right] = [2.6, -2.6].map((turn) => [
      end[0] + head * Math.cos(angle + turn), end[1] + head * Math.sin(angle + turn),
    ]);
    line(pen, [left, end, right], colour, 1.2);
  }

  const scale = (width) => width / (2 * REACH);
  // (θ, ψ) -> pixels, and back
  const place = (size, theta, psi) => [size / 2 + scale(size) * theta, size / 2 - scale(size) * psi];
  const value = (size, x, y) => [(x - size / 2) / scale(size), (size / 2 - y) / scale(size)];

  // The plane of θ and ψ: arrows of the flow, the trajectory up to `now`, its start.
  function plane(canvas, { game, path, start, now }) {
    const { pen, width: size } = begin(canvas), c = colours();
    pen.fillStyle = c.raised;
    pen.fillRect(0, 0, size, size);
    line(pen, [[0, size / 2], [size, size / 2]], c.rule);
    line(pen, [[size / 2, 0], [size / 2, size]], c.rule);
    arrows(pen, size, game, c);
    const shown = path.slice(0, now + 1).map(([psi, theta]) => place(size, theta, psi));
    const inside = shown.filter(([x, y]) => Number.isFinite(x + y) && Math.abs(x) < 9 * size && Math.abs(y) < 9 * size);
    pen.globalAlpha = 0.45;
    line(pen, inside, c.path, 1.2);
    pen.globalAlpha = 1;
    for (const [x, y] of inside) dot(pen, x, y, inside.length > 400 ? 1.4 : 2, c.path);
    cross(pen, size / 2, size / 2, c.ink);
    label(pen, "θ, the fake →", size - 8, size / 2 + 4, c, "right");
    label(pen, "ψ, the tilt of D ↑", size / 2, 16, c, "center");
    const last = inside.at(-1);
    if (last && now > 0) dot(pen, ...last, 5, c.fake, c.raised);
    dot(pen, ...place(size, ...start), 9, c.path, c.raised);
    text(pen, "start", place(size, ...start)[0] + 13, place(size, ...start)[1] + 4, c.ink);
  }

  function arrows(pen, size, game, c) {
    const count = size < 380 ? 15 : 19, gap = size / count;
    pen.globalAlpha = 0.75;
    for (let i = 0; i < count; i++) {
      for (let k = 0; k < count; k++) {
        const [x, y] = [(i + 0.5) * gap, (k + 0.5) * gap], [theta, psi] = value(size, x, y);
        const v = Dirac.field(game, [psi, theta]);
        const [dx, dy] = [-v[1] * game.rates[1] / game.rates[0], v[0]]; // downhill; y points down
        const speed = Math.hypot(dx, dy), length = gap * 0.85 * Math.tanh(1.2 * speed) ** 0.6;
        if (speed > 1e-9) arrow(pen, x, y, dx / speed * length, dy / speed * length, c.muted);
      }
    }
    pen.globalAlpha = 1;
  }

  function cross(pen, x, y, colour) {
    line(pen, [[x - 6, y], [x + 6, y]], colour, 2);
    line(pen, [[x, y - 6], [x, y + 6]], colour, 2);
  }

  // The data's line under the plane: the energy -D(x), the real point and the fake.
  function energy(canvas, [psi, theta]) {
    const { pen, width, height } = begin(canvas), c = colours();
    const x = (at) => width / 2 + scale(width) * at, middle = height * 0.46, up = height * 0.3;
    const y = (at) => middle + up * Math.tanh(psi) * at / REACH; // U = -ψ x, steep lines less so; y points down
    const points = [-REACH, REACH].map((at) => [x(at), y(at)]);
    pen.fillStyle = c.raised;
    pen.fillRect(0, 0, width, height);
    pen.beginPath();
    points.forEach(([a, b], i) => (i ? pen.lineTo(a, b) : pen.moveTo(a, b)));
    pen.lineTo(width, height);
    pen.lineTo(0, height);
    pen.fillStyle = c.rule;
    pen.fill();
    line(pen, points, c.muted, 2);
    dot(pen, x(0), y(0) - 6, 6, c.real, c.raised);
    text(pen, "real", x(0), y(0) + 18, c.real, "center");
    const beyond = Math.abs(theta) > REACH || !Number.isFinite(theta);
    const at = beyond ? Math.sign(theta || 1) * (REACH - 0.06) : theta;
    dot(pen, x(at), y(at) - 6, 6, c.fake, c.raised);
    const near = Math.abs(x(at) - x(0)) < 34;
    text(pen, beyond ? "fake (further out)" : "fake", x(at), y(at) + (near ? 32 : 18), c.fake,
      x(at) > width - 60 ? "right" : x(at) < 60 ? "left" : "center");
  }

  // Eigenvalues in the complex plane. `kind`: "flow" (stable left of the axis) or "map" (stable inside of the circle).
  function eigenvalues(canvas, kind, values) {
    const { pen, width, height } = begin(canvas), c = colours(), size = Math.min(width, height);
    const largest = values === null ? 1 : Math.max(...values.map((x) => Math.max(Math.abs(x[0]), Math.abs(x[1]))));
    const reach = kind === "map" ? Math.max(1.25, 1.1 * largest) : Math.max(1.25, 1.15 * largest);
    const view = { x: (a) => width / 2 + a * size / 2 / reach, y: (b) => height / 2 - b * size / 2 / reach };
    pen.fillStyle = c.raised;
    pen.fillRect(0, 0, width, height);
    stable(pen, kind, view, width, height, c);
    line(pen, [[0, view.y(0)], [width, view.y(0)]], c.rule);
    line(pen, [[view.x(0), 0], [view.x(0), height]], c.rule);
    if (kind === "map") ring(pen, view, c);
    text(pen, kind === "map" ? "inside: closer each time" : "← falls", 8, 16, c.real);
    if (kind === "flow") text(pen, "grows →", width - 8, 16, c.fake, "right");
    if (values === null) {
      text(pen, "no eigenvalues: the field jumps", width / 2, height / 2 - 10, c.ink, "center");
      return;
    }
    for (const [a, b] of values) dot(pen, view.x(a), view.y(b), 5.5, c.path, c.raised);
    if (kind === "map") magnified(pen, values[0], width, height, c);
  }

  function stable(pen, kind, view, width, height, c) {
    pen.globalAlpha = 0.13;
    pen.fillStyle = c.real;
    pen.beginPath();
    if (kind === "flow") pen.rect(0, 0, view.x(0), height);
    else pen.arc(view.x(0), view.y(0), view.x(1) - view.x(0), 0, 2 * Math.PI);
    pen.fill();
    pen.globalAlpha = 1;
  }

  function ring(pen, view, c) {
    pen.beginPath();
    pen.arc(view.x(0), view.y(0), view.x(1) - view.x(0), 0, 2 * Math.PI);
    pen.lineWidth = 1.2;
    pen.strokeStyle = c.muted;
    pen.stroke();
  }

  // The largest eigenvalue against the unit circle, turned so that outwards is to the right, 20 times as large. It lies
  // at the left, where eigenvalues are rare.
  function magnified(pen, [a, b], width, height, c) {
    const side = Math.min(92, width * 0.32), left = 6, top = height - side - 6;
    const out = 20 * (Math.hypot(a, b) - 1) * width / 2.5;
    pen.save();
    pen.beginPath();
    pen.rect(left, top, side, side);
    pen.fillStyle = c.raised;
    pen.fill();
    pen.clip();
    pen.globalAlpha = 0.13;
    pen.fillStyle = c.real;
    pen.fillRect(left, top, side / 2, side);
    pen.globalAlpha = 1;
    line(pen, [[left + side / 2, top], [left + side / 2, top + side]], c.muted, 1.2);
    const shift = Math.max(-side / 2 + 8, Math.min(side / 2 - 8, out));
    dot(pen, left + side / 2 + shift, top + side / 2, 5.5, c.path, c.raised);
    text(pen, "magnified", left + side / 2, top + 13, c.muted, "center");
    pen.restore();
    pen.lineWidth = 1;
    pen.strokeStyle = c.rule;
    pen.strokeRect(left, top, side, side);
  }

  // The distance to the equilibrium, on a logarithmic axis, over iterations.
  function distance(canvas, path, now) {
    const { pen, width, height } = begin(canvas), c = colours(), [left, bottom, top] = [44, height - 24, 10];
    pen.fillStyle = c.raised;
    pen.fillRect(0, 0, width, height);
    const logs = path.map((w) => Math.log10(Math.max(1e-16, Math.hypot(...w)))).filter(Number.isFinite);
    const low = Math.floor(Math.min(-1, ...logs)), high = Math.ceil(Math.max(1, ...logs));
    const x = (k) => left + (width - left - 10) * k / Math.max(1, path.length - 1);
    const y = (value) => bottom - (bottom - top) * (value - low) / (high - low);
    const step = Math.max(1, Math.ceil((high - low) / 5));
    for (let power = low; power <= high; power += step) {
      line(pen, [[left, y(power)], [width - 10, y(power)]], c.rule);
      text(pen, power === 0 ? "1" : power === 1 ? "10" : `10${raised(power)}`, left - 6, y(power) + 4, c.muted, "right");
    }
    for (const share of [0, 0.5, 1]) {
      const k = Math.round(share * (path.length - 1));
      text(pen, String(k), x(k), height - 7, c.muted, share === 0 ? "left" : share === 1 ? "right" : "center");
    }
    line(pen, logs.map((value, k) => [x(k), y(value)]), c.path, 1.8);
    if (now < path.length - 1 && now < logs.length) dot(pen, x(now), y(logs[now]), 5, c.fake, c.raised);
  }

  const raised = (power) => [...String(power)].map((sign) => (sign === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[sign])).join("");

  return { REACH, plane, energy, eigenvalues, distance, place, value };
})();
