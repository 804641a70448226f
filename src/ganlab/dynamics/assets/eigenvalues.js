"use strict";
// Jacobians of the Dirac-GAN at its equilibrium (0, 0) and their eigenvalues, as complex numbers [real, imaginary].

const Eigenvalues = (() => {
  const STENCIL = [[1, 3 / 4], [2, -3 / 20], [3, 1 / 60]]; // of a central difference of the sixth order
  const REACH = 1e-3;

  // --- complex numbers

  const add = (x, y) => [x[0] + y[0], x[1] + y[1]];
  const sub = (x, y) => [x[0] - y[0], x[1] - y[1]];
  const mul = (x, y) => [x[0] * y[0] - x[1] * y[1], x[0] * y[1] + x[1] * y[0]];
  const div = (x, y) => {
    const size = y[0] * y[0] + y[1] * y[1];
    return [(x[0] * y[0] + x[1] * y[1]) / size, (x[1] * y[0] - x[0] * y[1]) / size];
  };
  const abs = (x) => Math.hypot(x[0], x[1]);
  const conj = (x) => [x[0], -x[1]];

  // Return the Jacobian at 0 of a function of vectors.
  function jacobian(of, size) {
    const columns = [];
    for (let j = 0; j < size; j++) {
      const column = new Array(size).fill(0);
      for (const [times, share] of STENCIL) {
        for (const sign of [1, -1]) {
          const at = new Array(size).fill(0);
          at[j] = sign * times * REACH;
          of(at).forEach((value, i) => { column[i] += sign * share * value / REACH; });
        }
      }
      columns.push(column);
    }
    return columns[0].map((_, i) => columns.map((column) => column[i]));
  }

  // Return the eigenvalues of a real matrix, the largest first: those of 2 × 2 by the formula, others as the roots of the
  // characteristic polynomial (Faddeev and LeVerrier), by the iteration of Ehrlich and Aberth.
  function values(matrix) {
    const n = matrix.length;
    if (n === 2) {
      const half = (matrix[0][0] + matrix[1][1]) / 2, gap = (matrix[0][0] - matrix[1][1]) / 2;
      const inside = gap * gap + matrix[0][1] * matrix[1][0], root = Math.sqrt(Math.abs(inside));
      const pair = inside < 0 ? [[half, root], [half, -root]] : [[half + root, 0], [half - root, 0]];
      return sorted(pair);
    }
    return sorted(roots(characteristic(matrix)));
  }

  function sorted(found) {
    return found.sort((x, y) => abs(y) - abs(x) || y[1] - x[1]);
  }

  // Return c of λ^n + c[n-1] λ^(n-1) + ... + c[0], with c[n] = 1.
  function characteristic(a) {
    const n = a.length, c = new Array(n + 1).fill(0);
    c[n] = 1;
    let m = a.map((row) => row.map(() => 0));
    for (let k = 1; k <= n; k++) {
      m = product(a, m).map((row, i) => row.map((x, j) => x + (i === j ? c[n - k + 1] : 0)));
      c[n - k] = -product(a, m).reduce((sum, row, i) => sum + row[i], 0) / k;
    }
    return c;
  }

  function product(a, b) {
    return a.map((row) => b[0].map((_, j) => row.reduce((sum, x, k) => sum + x * b[k][j], 0)));
  }

  function roots(c) {
    const n = c.length - 1;
    const radius = 1 + Math.max(...c.slice(0, n).map(Math.abs));
    let z = Array.from({ length: n }, (_, i) => {
      const angle = 2 * Math.PI * i / n + 0.4;
      return [Math.min(radius, 1.1) * Math.cos(angle), Math.min(radius, 1.1) * Math.sin(angle)];
    });
    for (let round = 0; round < 200; round++) {
      let moved = 0;
      z = z.map((x, i) => {
        let value = [1, 0], slope = [0, 0];
        for (let k = n - 1; k >= 0; k--) {
          slope = add(mul(slope, x), value);
          value = add(mul(value, x), [c[k], 0]);
        }
        if (abs(value) < 1e-300) return x;
        const newton = div(value, slope);
        let others = [0, 0];
        z.forEach((y, j) => { if (j !== i && abs(sub(x, y)) > 0) others = add(others, div([1, 0], sub(x, y))); });
        const step = div(newton, sub([1, 0], mul(newton, others)));
        if (!Number.isFinite(step[0] + step[1])) return x;
        moved = Math.max(moved, abs(step));
        return sub(x, step);
      });
      if (moved < 1e-15) break;
    }
    return z.map((x) => (Math.abs(x[1]) < 1e-13 ? [x[0], 0] : x));
  }

  // --- of a game

  // Eigenvalues of the flow dw/dt = -R v(w), R each player's rate over that of the discriminator.
  function ofFlow(game) {
    const j = jacobian((w) => Dirac.field(game, w), 2);
    const share = [1, game.rates[1] / game.rates[0]];
    return values(j.map((row, i) => row.map((x) => -share[i] * x)));
  }

  // The Jacobian of one iteration on the weights, then the momenta and the last step where the rule has them.
  function iteration(game) {
    const heavy = game.momentum.some((m) => m !== 0), optimistic = game.update === "optimistic";
    const size = 2 + (heavy ? 2 : 0) + (optimistic ? 2 : 0);
    return jacobian((s) => {
      const after = Dirac.iterate(game, {
        w: s.slice(0, 2), b: heavy ? s.slice(2, 4) : [0, 0], d: optimistic ? s.slice(-2) : null,
      });
      return [...after.w, ...(heavy ? after.b : []), ...(optimistic ? after.d : [])];
    }, size);
  }

  const ofMap = (game) => values(iteration(game));

  return { add, sub, mul, div, abs, conj, jacobian, values, ofFlow, iteration, ofMap };
})();
