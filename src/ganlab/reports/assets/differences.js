"use strict";
// What differs between two runs: two choices and a table.
for (const panel of document.querySelectorAll(".differences")) {
  const runs = parsed(panel.querySelector("script"));
  const selects = [...panel.querySelectorAll("select")];
  const body = panel.querySelector("tbody");
  const heads = [...panel.querySelectorAll("th.run")];
  selects.forEach((select, which) => {
    select.append(...runs.map((run, at) => make("option", { value: at }, run.name)));
    select.value = memory.get(`differing ${which}`, which === 0 ? 0 : Math.min(runs.length - 1, 1));
    select.addEventListener("change", () => {
      memory.set(`differing ${which}`, select.value);
      compare();
    });
  });

  function compare() {
    const [one, other] = selects.map((select) => runs[select.value] ?? runs[0]);
    heads[0].textContent = one.name;
    heads[1].textContent = other.name;
    const keys = [...new Set([...Object.keys(one.values), ...Object.keys(other.values)])];
    const rows = keys.filter((key) => one.values[key] !== other.values[key]).map((key) => make(
      "tr",
      {},
      make("td", {}, key),
      make("td", { class: "text" }, one.values[key] ?? "–"),
      make("td", { class: "text" }, other.values[key] ?? "–"),
    ));
    body.replaceChildren(...rows);
    panel.querySelector(".same").hidden = rows.length > 0;
  }
  compare();
}
