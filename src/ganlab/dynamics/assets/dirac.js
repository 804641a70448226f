"use strict";
// The Dirac-GAN by the formulas of ganlab: reals at 0, G(z) = θ, D(x) = ψ·x. Nothing here touches the page.
//
// A loss is given by its derivatives in the logits, [first, second] of each of its three sums: `real` and `fake` of the
// discriminator's, `generator` of the generator's. A regularizer adds a gradient, puts noise on the points, or changes
// weights after a step. A game is {loss, regularizer, update, steps, rates: [h of ψ, h of θ], momentum: [of ψ, of θ]}.

const Dirac = (() => {
  const sigmoid = (t) => (t >= 0 ? 1 / (1 + Math.exp(-t)) : Math.exp(t) / (1 + Math.exp(t)));
  const logistic = (t) => { const s = sigmoid(t); return [s, s * (1 - s)]; }; // of softplus(t)
  const mirrored = ([first, second]) => [-first, second]; // of f(-t), from f at -t
  const negative = ([first, second]) => [-first, -second];
  const twice = ([first, second]) => [2 * first, 2 * second];
  const exponential = (t) => [Math.exp(t), Math.exp(t)];
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

  // --- losses: of options -> derivatives

  const separate = (real, fake, generator, divergence = null) => ({
    real, fake, generator, divergence,
    // slopes in the logits of many reals r and fakes f: [of D in each r, of D in each f, of G in each f]
    slopes: (r, f) => [r.map((v) => real(v)[0]), f.map((v) => fake(v)[0]), f.map((v) => generator(v)[0])],
  });

  const activation = { // g of f-GAN
    kl: () => [1, 0],
    reverse_kl: (v) => [Math.exp(-v), -Math.exp(-v)],
    js: (v) => negative(mirrored(logistic(-v))),
    pearson: () => [1, 0],
    hellinger: (v) => [Math.exp(-v), -Math.exp(-v)],
    total_variation: (v) => { const s = 1 - Math.tanh(v) ** 2; return [s / 2, -Math.tanh(v) * s]; },
  };
  const conjugate = { // f*(g)
    kl: (v) => exponential(v - 1),
    reverse_kl: () => [1, 0],
    js: logistic,
    pearson: (v) => [v / 2 + 1, 0.5],
    hellinger: exponential,
    total_variation: activation.total_variation,
  };

  const losses = {
    non_saturating: () => separate((v) => mirrored(logistic(-v)), logistic, (v) => mirrored(logistic(-v)), "js"),
    minimax: () => separate((v) => mirrored(logistic(-v)), logistic, (v) => negative(logistic(v)), "js"),
    wasserstein: () => separate(() => [-1, 0], () => [1, 0], () => [-1, 0]),
    hinge: ({ margin: m }) => separate((v) => [v < m ? -1 : 0, 0], (v) => [v > -m ? 1 : 0, 0], () => [-1, 0]),
    least_squares: ({ fake_target: a, real_target: b, generator_target: c }) =>
      separate((v) => [v - b, 1], (v) => [v - a, 1], (v) => [v - c, 1]),
    f_gan: ({ divergence, non_saturating }) => separate(
      (v) => negative(activation[divergence](v)),
      conjugate[divergence],
      (v) => negative((non_saturating ? activation : conjugate)[divergence](v)),
      divergence,
    ),
    relativistic: () => ({
      fake: logistic,
      generator: (v) => mirrored(logistic(-v)),
      slopes: (r, f) => [ // each real against each fake
        r.map((x) => -mean(f.map((y) => sigmoid(y - x)))),
        f.map((y) => mean(r.map((x) => sigmoid(y - x)))),
        f.map((y) => -mean(r.map((x) => sigmoid(x - y)))),
      ],
    }),
    relativistic_average: () => ({
      fake: (v) => twice(logistic(v)),
      generator: (v) => twice(mirrored(logistic(-v))),
      slopes: (r, f) => { // each against the mean of the others, through which gradients flow
        const ofReal = r.map((x) => sigmoid(mean(f) - x)), ofFake = f.map((y) => sigmoid(y - mean(r)));
        const [a, b] = [mean(ofReal), mean(ofFake)];
        return [
          ofReal.map((s) => -s - b), ofFake.map((s) => s + a), ofFake.map((s) => s - 1 + a - 1),
        ];
      },
    }),
    gan_qp: ({ scale }) => { // with t = D(x) - D(G(z)) and the distance |θ|, through which no gradient goes
      const slope = (theta) => (theta === 0 ? 0 : 1 / (scale * Math.abs(theta)));
      return {
        fake: (v, theta) => [1 + v * slope(theta), slope(theta)],
        generator: () => [-1, 0],
        slopes: (r, f, theta) => [
          r.map((x) => (x - mean(f)) * slope(theta) - 1), f.map((y) => 1 - (mean(r) - y) * slope(theta)), f.map(() => -1),
        ],
      };
    },
  };

  // --- regularizers: of options -> {gradient, noise, after}

  const slope = (derivative) => ({ gradient: (_, psi) => [derivative(psi), 0] }); // of a penalty on |dD/dx| = |ψ|
  const rothWeight = { // [w, w'] of the logit
    js: (v) => { const s = sigmoid(v); return [s * s, 2 * s * s * (1 - s)]; },
    kl: (v) => exponential(v - 1),
    reverse_kl: () => [1, 0],
    pearson: () => [0.5, 0],
    hellinger: (v) => twice(exponential(v)),
  };

  const regularizers = {
    none: () => ({}),
    r1: ({ gamma }) => slope((psi) => gamma * psi),
    r2: ({ gamma }) => slope((psi) => gamma * psi),
    gradient_penalty: ({ weight, center, one_sided }) => slope((psi) => {
      if (center === 0) return 2 * weight * psi;
      const excess = Math.abs(psi) - center;
      return 2 * weight * (one_sided ? Math.max(0, excess) : excess) * Math.sign(psi);
    }),
    dragan: ({ weight, center }) => slope((psi) => 2 * weight * (Math.abs(psi) - center) * Math.sign(psi)),
    wgan_div: ({ k, p }) => slope((psi) => k * p * Math.abs(psi) ** (p - 1) * Math.sign(psi)),
    l2: ({ weight }) => slope((psi) => 2 * weight * psi),
    roth: ({ gamma }) => ({
      gradient: (loss, psi, theta) => {
        const [w, slopeOfW] = rothWeight[loss.divergence](psi * theta);
        const atReal = loss.divergence === "js" ? gamma * rothWeight.js(0)[0] * psi : 0;
        return [atReal + gamma * (w * psi + slopeOfW * theta * psi * psi / 2), 0];
      },
    }),
    consensus: ({ gamma }) => ({
      gradient: (loss, psi, theta) => {
        const { v, jacobian: j } = own(loss, psi, theta);
        return [gamma * (v[0] * j[0][0] + v[1] * j[1][0]), gamma * (v[0] * j[0][1] + v[1] * j[1][1])];
      },
    }),
    locally_stable: ({ weight }) => ({
      gradient: (loss, psi, theta) => {
        const { v, jacobian } = own(loss, psi, theta);
        return [0, 2 * weight * v[0] * jacobian[0][1]];
      },
    }),
    instance_noise: ({ std }) => ({ noise: std }),
    weight_clipping: ({ limit }) => ({ after: (psi) => Math.min(limit, Math.max(-limit, psi)) }),
  };

  // --- the vector field

  // The gradients v = (dL_D/dψ, dL_G/dθ) of the losses alone, and dv/dw.
  function own(loss, psi, theta) {
    const [a, da] = loss.fake(psi * theta, theta), [b, db] = loss.generator(psi * theta, theta);
    return {
      v: [a * theta, b * psi],
      jacobian: [[da * theta * theta, a + da * psi * theta], [b + db * psi * theta, db * psi * psi]],
    };
  }

  // Return v (2) at the weights w = [ψ, θ].
  function field(game, [psi, theta]) {
    const { loss, regularizer } = game;
    let v;
    if (regularizer.noise) {
      const noise = game.nodes.map((node) => regularizer.noise * node), fakes = noise.map((e) => theta + e);
      const [real, fake, generator] = loss.slopes(noise.map((x) => psi * x), fakes.map((x) => psi * x), theta);
      v = [mean(real.map((s, i) => s * noise[i])) + mean(fake.map((s, i) => s * fakes[i])), psi * mean(generator)];
    } else {
      v = own(loss, psi, theta).v;
    }
    if (regularizer.gradient) {
      const more = regularizer.gradient(loss, psi, theta);
      v = [v[0] + more[0], v[1] + more[1]];
    }
    return v;
  }

  // --- update rules: a state is {w: weights, b: momenta, d: the last step, null before the first}

  const start = (w) => ({ w: [...w], b: [0, 0], d: null });

  // Gradient descent with the heavy ball, b <- μ b + g and w <- w - h b, of the players in `who`.
  function stepped(game, { w, b, d }, v, who, final = true) {
    const next = { w: [...w], b: [...b], d };
    for (const i of who) {
      next.b[i] = game.momentum[i] * b[i] + v[i];
      next.w[i] = w[i] - game.rates[i] * next.b[i];
      if (i === 0 && final && game.regularizer.after) next.w[0] = game.regularizer.after(next.w[0]);
    }
    return next;
  }

  const updates = {
    alternating(game, state) {
      for (let k = 0; k < game.steps; k++) state = stepped(game, state, field(game, state.w), [0]);
      return stepped(game, state, field(game, state.w), [1]);
    },
    simultaneous: (game, state) => stepped(game, state, field(game, state.w), [0, 1]),
    extragradient(game, state) {
      const ahead = stepped(game, state, field(game, state.w), [0, 1], false);
      return stepped(game, { ...ahead, w: state.w }, field(game, ahead.w), [0, 1]);
    },
    optimistic(game, state) { // w <- w + 2Δ - the Δ before
      const next = stepped(game, state, field(game, state.w), [0, 1]);
      const step = next.w.map((x, i) => x - state.w[i]);
      const w = next.w.map((x, i) => x + step[i] - (state.d === null ? step : state.d)[i]);
      return { w, b: next.b, d: step };
    },
  };

  const iterate = (game, state) => updates[game.update](game, state);

  // Return the weights of at most `count` iterations from w, the first included; it ends where they leave all bounds.
  function trajectory(game, w, count, bound = 1e9) {
    const path = [[...w]];
    let state = start(w);
    for (let k = 0; k < count; k++) {
      state = iterate(game, state);
      path.push(state.w);
      if (!(Math.max(Math.abs(state.w[0]), Math.abs(state.w[1])) < bound)) break;
    }
    return path;
  }

  return { losses, regularizers, updates, field, start, iterate, trajectory };
})();
