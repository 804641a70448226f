"use strict";
// What a reader chose (axis, hidden lines, place of a slider), kept over the reloads of a page that follows a run.
const memory = (() => {
  const seconds = Number(document.body.dataset.refresh);
  const key = `ganlab ${location.pathname}`;
  let values = {};
  if (seconds) {
    try {
      values = JSON.parse(sessionStorage.getItem(key)) ?? {};
    } catch {
      // storage is switched off
    }
    const reload = () => (document.hidden || document.querySelector(":active")
      ? setTimeout(reload, 1000)
      : location.reload());
    setTimeout(reload, 1000 * seconds);
  }
  return {
    get: (name, otherwise) => (Object.hasOwn(values, name) ? values[name] : otherwise),
    set(name, value) {
      values[name] = value;
      if (!seconds) return;
      try {
        sessionStorage.setItem(key, JSON.stringify(values));
      } catch {
        // likewise
      }
    },
  };
})();

const parsed = (element) => (element ? JSON.parse(element.textContent) : null);

// An element with its text and children; text is never markup.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

function written(value) {
  if (value === null || value === undefined) return "–";
  const text = Math.abs(value) >= 1000 && Math.abs(value) < 1e7
    ? Math.round(value).toLocaleString("en")
    : String(Number(value.toPrecision(4)));
  return text.replace("-", "−");
}
