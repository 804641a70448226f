"use strict";
// What is chosen on the page -> a game, the words of a command line, and a verdict. `texts` and `numbers` are ganlab's.

const Settings = (texts, numbers) => {
  const judgement = Judgement(numbers.limits, numbers.words);
  const { UNDECIDED } = numbers.words;
  const lossOf = (setting) => texts.losses.find((offer) => offer.name === setting.loss);
  const regularizerOf = (setting) => texts.regularizers.find((offer) => offer.name === setting.regularizer) ?? null;

  function game(setting) {
    const loss = lossOf(setting), offer = regularizerOf(setting);
    return {
      loss: Dirac.losses[loss.component](loss.options),
      regularizer: offer === null
        ? Dirac.regularizers.none()
        : Dirac.regularizers[offer.component]({ ...offer.options, [offer.strength.option]: setting.strength }),
      update: setting.update,
      steps: setting.steps,
      rates: setting.rates,
      momentum: setting.momentum,
      nodes: numbers.nodes,
    };
  }

  // Return the reason why the regularizer does not go with the loss, or null.
  const refusal = (setting) => texts.refusals[setting.regularizer]?.[setting.loss] ?? null;

  function words(setting) {
    const offer = regularizerOf(setting);
    const found = [...lossOf(setting).words];
    if (offer !== null) found.push(...offer.words, `${offer.strength.key}=${setting.strength}`);
    if (setting.update !== "alternating") found.push(`game.update=${setting.update}`);
    if (setting.steps !== 1) found.push(`game.discriminator_steps=${setting.steps}`);
    ["discriminator", "generator"].forEach((player, i) => {
      found.push(`optimizer.${player}.lr=${setting.rates[i]}`);
      if (setting.momentum[i] !== 0) found.push(`optimizer.${player}.momentum=${setting.momentum[i]}`);
    });
    return found;
  }

  // Return {theory, simulation, verdict}; the simulation is null where theory decides.
  function verdict(setting) {
    const of = game(setting), theory = judgement.theory(of);
    if (theory.word !== UNDECIDED) return { theory, simulation: null, verdict: theory };
    const simulation = judgement.simulation(of, judgement.enough(theory, numbers.iterations));
    return { theory, simulation, verdict: simulation };
  }

  // Return the least strength at which the flow does not oscillate, or null if there is none on the slider.
  function critical(setting) {
    const offer = regularizerOf(setting);
    if (offer === null || refusal(setting) !== null) return null;
    const flow = (strength) => judgement.flow(game({ ...setting, strength }));
    const oscillates = (strength) => flow(strength)?.[0][1] > 1e-9;
    let [low, high] = [offer.strength.least, offer.strength.most];
    if (!oscillates(low) || oscillates(high) || flow(high) === null) return null;
    for (let k = 0; k < 30; k++) {
      const middle = (low + high) / 2;
      if (oscillates(middle)) low = middle; else high = middle;
    }
    return Number(high.toPrecision(4));
  }

  return { judgement, game, refusal, words, verdict, critical, lossOf, regularizerOf };
};
