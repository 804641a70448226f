"use strict";
// Verdicts on a game, by the rules of ganlab.dynamics: `theory` from the eigenvalues, `behaviour` and `simulation` from
// trajectories. `limits` are the numbers of those modules, and `words` their verdicts.

const Judgement = (limits, words) => {
  const { theory: T, behaviour: B, trajectories: P, laboratory: L } = limits;
  const { CONVERGES, SUBLINEAR, CYCLES, DIVERGES, UNDECIDED } = words;
  const number = (x, digits = 4) => String(Number(x.toPrecision(digits)));
  const norm = (w) => Math.hypot(w[0], w[1]);
  const circle = (count) => Array.from({ length: count }, (_, i) => 2 * Math.PI * i / count);

  // --- theory

  // Return a sentence if v has no derivative at the equilibrium, or null.
  function roughness(game) {
    const half = Math.SQRT1_2, ways = [[1, 0], [0, 1], [-half, half]];
    const v = (way, share) => Dirac.field(game, way.map((x) => share * x));
    const j = Eigenvalues.jacobian((w) => Dirac.field(game, w), 2);
    const slope = Math.max(...[0, 1].map((k) => T.reach * Math.hypot(j[0][k], j[1][k])));
    let error = 0, change = 0, linearSize = slope;
    for (const way of ways) {
      const linear = j.map((row) => T.reach * (row[0] * way[0] + row[1] * way[1]));
      linearSize = Math.max(linearSize, norm(linear));
      for (const sign of [1, -1]) {
        const at = v(way, sign * T.reach);
        change = Math.max(change, norm(at));
        error = Math.max(error, norm(at.map((x, i) => x - sign * linear[i])));
      }
    }
    if (!(error <= T.rough * (T.reach + linearSize))) {
      return `the vector field jumps at the equilibrium: a step of ${T.reach} away from it already pushes with ` +
        `${number(change, 3)}. A field that is not smooth has no eigenvalues there, so only the trajectory can tell`;
    }
    return null;
  }

  function ofFlow(values) {
    const largest = Math.max(...values.map((x) => x[0]));
    if (largest < -T.one) return `All real parts are negative (the largest is ${number(largest)}): the flow converges.`;
    if (largest > T.one) return `A real part is positive (${number(largest)}): the flow leaves.`;
    return "A real part is 0: in continuous time the linearisation decides nothing.";
  }

  // Return the eigenvalues of the flow, or null where it has none.
  const flow = (game) => (roughness(game) === null ? Eigenvalues.ofFlow(game) : null);

  // Return {word, reason, rate, flow, ofFlow, map}.
  function theory(game) {
    const rough = roughness(game);
    if (rough !== null) {
      return { word: UNDECIDED, reason: rough, rate: null, flow: null, map: null, ofFlow: "There is no linearisation." };
    }
    const values = Eigenvalues.ofFlow(game), map = Eigenvalues.ofMap(game), found = ofMap(game, map);
    const reason = found.reason + (game.regularizer.after ? "; this holds where no weight is clipped" : "");
    return { ...found, reason, flow: values, map, ofFlow: ofFlow(values) };
  }

  function ofMap(game, map) {
    const largest = Eigenvalues.abs(map[0]);
    const is = (word, reason, rate = null) => ({ word, reason, rate });
    if (largest < 1 - T.one) {
      const decimals = number(largest, 6);
      return is(CONVERGES, `all eigenvalues of an iteration lie inside the unit circle, the largest at ${decimals}`, largest);
    }
    if (largest > 1 + T.one) {
      return is(DIVERGES, `an eigenvalue of an iteration lies outside the unit circle, at ${number(largest, 7)}`, largest);
    }
    const same = "an eigenvalue of an iteration lies on the unit circle, so the linearisation decides nothing";
    const coefficient = thirdOrder(game);
    if (coefficient === null) return is(UNDECIDED, same);
    if (Math.abs(coefficient) > T.nothing) {
      const word = coefficient < 0 ? SUBLINEAR : DIVERGES;
      const way = coefficient < 0 ? "shrinks" : "grows";
      return is(word, `${same}; the next order does: a circle of radius r ${way} by ${number(Math.abs(coefficient), 3)}·r³ ` +
        "an iteration");
    }
    if (isLinear(game)) return is(CYCLES, "the iteration is linear nearby, with an eigenvalue on the unit circle: it turns for ever");
    if (isKept(game)) return is(CYCLES, `${same}; the flow keeps the distance exactly, and so does the iteration to the next order`);
    return is(UNDECIDED, `${same}, and neither does the next order`);
  }

  // Return a of r <- r + a r³, the mean over a turn, for a map of the plane that turns; null for other maps.
  function thirdOrder(game) {
    const plain = ["alternating", "simultaneous"].includes(game.update) && game.momentum.every((m) => m === 0);
    if (!plain) return null;
    const { add, sub, mul, div, abs, conj } = Eigenvalues;
    const m = Eigenvalues.iteration(game), turning = Eigenvalues.values(m)[0];
    if (Math.abs(turning[1]) < T.one) return null;
    let power = [1, 0];
    for (let n = 1; n <= 4; n++) {
      power = mul(power, turning);
      if (abs(sub(power, [1, 0])) < T.one) return null;
    }
    let v = Math.abs(m[0][1]) > Math.abs(m[1][0])
      ? [[m[0][1], 0], sub(turning, [m[0][0], 0])] : [sub(turning, [m[1][1], 0]), [m[1][0], 0]];
    const size = Math.hypot(abs(v[0]), abs(v[1])) * Math.SQRT2;
    v = v.map((x) => [x[0] / size, x[1] / size]);
    const determinant = sub(mul(v[0], conj(v[1])), mul(conj(v[0]), v[1]));
    const dual = [div(conj(v[1]), determinant), div([-conj(v[0])[0], -conj(v[0])[1]], determinant)];

    const meanAt = (radius) => {
      let sum = [0, 0];
      for (const angle of circle(T.angles)) {
        const phase = [Math.cos(angle), Math.sin(angle)];
        const after = once(game, v.map((x) => 2 * radius * mul(phase, x)[0]));
        const opposite = once(game, v.map((x) => -2 * radius * mul(phase, x)[0]));
        if (norm([after[0] + opposite[0], after[1] + opposite[1]]) > 1e-9 * radius) return NaN;
        const z = add(mul(dual[0], [after[0], 0]), mul(dual[1], [after[1], 0]));
        sum = add(sum, mul(z, conj(phase)));
      }
      return div([sum[0] / T.angles / radius, sum[1] / T.angles / radius], turning)[0];
    };
    const big = meanAt(T.radius), small = meanAt(T.radius / 2);
    if (!Number.isFinite(big + small)) return null;
    return (big - small) / (0.75 * T.radius ** 2); // whose rounding does not depend on that of the eigenvalue
  }

  const once = (game, w) => Dirac.iterate(game, Dirac.start(w)).w;

  function isKept(game) {
    return [0.1, 1].every((radius) => circle(T.angles).every((angle) => {
      const w = [radius * Math.sin(angle), radius * Math.cos(angle)], v = Dirac.field(game, w);
      return Math.abs(w[0] * v[0] + w[1] * v[1]) < 1e-9;
    }));
  }

  function isLinear(game) {
    return [[1, 0], [0, 1], [1, 1]].map((w) => w.map((x) => T.linear * x)).every((w) => {
      const at = once(game, w), far = once(game, w.map((x) => 3 * x));
      return at.every((x, i) => Math.abs(3 * x - far[i]) < 1e-12);
    });
  }

  // --- trajectories

  function starts() {
    return [P.near, 1, 2].map((radius, i) => [radius * Math.sin(P.angles[i]), radius * Math.cos(P.angles[i])]);
  }

  // Return {word, first, last, rate, about} of a trajectory.
  function behaviour(path) {
    const d = path.map(norm), first = d[0], bound = B.gone * Math.max(1, first);
    const is = (word, last, about = "", rate = null) => ({ word, first, last, about, rate });
    const out = d.findIndex((x) => !(x <= bound));
    if (out >= 0) {
      const rate = (d[out - 1] / first) ** (1 / Math.max(1, out - 1));
      return is(DIVERGES, Infinity, `it leaves all bounds in ${out} iterations`, rate);
    }
    const there = d.findIndex((x) => x < B.there * first);
    if (there >= 0) {
      const half = Math.floor(there / 2);
      return falling(is, d[there], (Math.max(d[there], 1e-300) / d[half]) ** (1 / Math.max(1, there - half)));
    }
    return leaving(d, is) ?? ofBlocks(path, d, is);
  }

  const falling = (is, last, rate) =>
    is(CONVERGES, last, `its distance falls by a factor of ${number(rate, 6)} an iteration`, rate);

  function leaving(d, is) {
    const end = d.findIndex((x) => x > B.left * d[0]);
    if (end < B.least_leaving) return null;
    const way = Math.log(d[Math.floor(end / 2)] / d[0]) / Math.log(d[end] / d[0]);
    if (!(way > 0.25 && way < 0.75)) return null;
    const quarter = Math.floor(end / 4), rate = (d[end] / d[quarter]) ** (1 / (end - quarter));
    const last = Math.max(...d.slice(-Math.ceil(d.length / B.blocks)));
    return is(DIVERGES, last, `it leaves the equilibrium by a factor of ${number(rate, 6)} an iteration`, rate);
  }

  function ofBlocks(path, d, is) {
    const length = d.length - 1, size = Math.max(1, Math.floor(length / B.blocks)), count = Math.floor(length / size);
    const tops = Array.from({ length: count }, (_, i) => Math.max(...d.slice(1 + i * size, 1 + (i + 1) * size)));
    const logs = tops.map((x) => Math.log(Math.max(x, 1e-300))), third = Math.floor(count / 3);
    const middle = slopeOf(logs.slice(third, 2 * third)) / size, last = slopeOf(logs.slice(2 * third)) / size;
    const end = tops[count - 1];
    if (Math.abs(last) * length < B.flat) {
      let moved = 0;
      for (let k = d.length - size; k < d.length; k++) {
        moved = Math.max(moved, Math.abs(path[k][0] - path[k - 1][0]), Math.abs(path[k][1] - path[k - 1][1]));
      }
      if (moved < B.still * end) {
        const word = end > B.left * d[0] ? DIVERGES : UNDECIDED;
        return is(word, end, `it comes to rest elsewhere, at a distance of ${number(end)}`);
      }
      return is(CYCLES, end, `its distance stays at ${number(end)}`);
    }
    const ratio = middle * last > 0 ? last / middle : 0, rate = Math.exp(last);
    if (last > 0) {
      if (ratio > B.power) return is(DIVERGES, end, `its distance grows by a factor of ${number(rate, 6)} an iteration`, rate);
      return is(UNDECIDED, end, `its distance still grows, to ${number(end)}`);
    }
    if (ratio > B.geometric && ratio < B.faster) return falling(is, end, rate);
    if (ratio > B.power && ratio <= B.geometric) {
      const places = logs.slice(third).map((_, i) => Math.log((third + i + 0.5) * size));
      return is(SUBLINEAR, end, `its distance falls like k^${slopeOf(logs.slice(third), places).toFixed(2)}`);
    }
    return is(UNDECIDED, end, `its distance still falls, to ${number(end)}`);
  }

  function slopeOf(y, x = y.map((_, i) => i)) {
    if (y.length < 2) return 0;
    const [a, b] = [x, y].map((values) => values.reduce((sum, value) => sum + value, 0) / y.length);
    const above = x.reduce((sum, value, i) => sum + (value - a) * (y[i] - b), 0);
    return above / x.reduce((sum, value) => sum + (value - a) ** 2, 0);
  }

  // Return {word, reason, rate} by trajectories from near the equilibrium and from the distances 1 and 2. The one from
  // nearby decides; where its distance stays as it is, a motion too slow to be seen there shows farther out.
  function simulation(game, iterations) {
    const each = starts().map((w) => behaviour(Dirac.trajectory(game, w, iterations, P.far)));
    let decides = each[0];
    if (decides.word === CYCLES || decides.word === UNDECIDED) {
      decides = each.slice(1).find((one) => one.word === SUBLINEAR || one.word === DIVERGES) ?? decides;
    }
    const inOrder = [decides, ...each.filter((one) => one !== decides)];
    const reason = inOrder.map((one) => `from a distance of ${number(one.first, 3)} ${one.about}`).join("; ");
    return { word: decides.word, reason: `${reason} (${iterations} iterations)`, rate: decides.rate };
  }

  // Return the iterations that it takes to see what the linearisation says.
  function enough(found, most) {
    if (found.map === null || !found.rate) return most;
    let count = Math.max(L.least, L.falls / Math.max(Math.abs(Math.log(found.rate)), 1e-9));
    const angle = Math.abs(Math.atan2(found.map[0][1], found.map[0][0]));
    if (angle > 1e-6) count = Math.max(count, L.turns * Math.PI / angle);
    return Math.ceil(Math.min(most, count));
  }

  return { theory, flow, behaviour, simulation, enough, starts, number };
};
