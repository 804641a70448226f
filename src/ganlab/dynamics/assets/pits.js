"use strict";
// Samples that roll on a fixed landscape of many pits, by the formulas of ganlab.dynamics.pits. `numbers` are its own:
// {centres, depths, starts, width, rate, steps}.

const Pits = (numbers) => {
  const { centres, depths, starts, width, rate, steps } = numbers;
  const narrow = width * width;

  // U(x) = -Σ_k d_k exp(-||x - c_k||² / 2w²)
  function energy([x, y]) {
    let sum = 0;
    centres.forEach(([a, b], k) => { sum -= depths[k] * Math.exp(-((x - a) ** 2 + (y - b) ** 2) / (2 * narrow)); });
    return sum;
  }

  function slope([x, y]) {
    const found = [0, 0];
    centres.forEach(([a, b], k) => {
      const weight = depths[k] * Math.exp(-((x - a) ** 2 + (y - b) ** 2) / (2 * narrow)) / narrow;
      found[0] += weight * (x - a);
      found[1] += weight * (y - b);
    });
    return found;
  }

  function nearest([x, y]) {
    let best = 0, least = Infinity;
    centres.forEach(([a, b], k) => {
      const apart = (x - a) ** 2 + (y - b) ** 2;
      if (apart < least) [best, least] = [k, apart];
    });
    return best;
  }

  // Yield the places of all samples after each step of a heavy ball, v <- m v - a ∇U(x), x <- x + v.
  function* roll(momentum, from = starts) {
    let x = from.map((place) => [...place]);
    const v = from.map(() => [0, 0]);
    yield x;
    for (let step = 0; step < steps; step++) {
      x = x.map((place, i) => {
        const down = slope(place);
        v[i] = v[i].map((speed, axis) => momentum * speed - rate * down[axis]);
        return place.map((at, axis) => at + v[i][axis]);
      });
      yield x;
    }
  }

  const home = starts.map(nearest);
  // Return how many samples are nearest to another pit than at the start.
  const left = (places) => places.filter((place, i) => nearest(place) !== home[i]).length;

  return { energy, slope, nearest, roll, left, steps };
};
