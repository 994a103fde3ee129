// A token tree as SVG: root at the left, one column a level, children from top to bottom in draw
// order. Streamlit calls the default export again whenever the data or the theme changes; what the
// user did (zoom, selection, focus mode) lives in a view per mount and survives those calls. What was
// zoomed into is found again when the same tree comes back after another view stood in its place.
// Token texts come from a model, so they only ever enter the document through textContent.
// The other files of this folder are joined to this one: a component's script is one module.

const SVG = "http://www.w3.org/2000/svg";
const STATUSES = ["root", "accepted", "rejected", "unreached", "bonus", "planned"];
const WORDS = {
  root: "last committed token", accepted: "accepted", rejected: "rejected",
  unreached: "not reached", bonus: "bonus", planned: "planned",
};
const CIRCLE = "M-1 0a1 1 0 1 0 2 0a1 1 0 1 0-2 0z";
const SYMBOLS = {
  root: "M-1-1H1V1H-1z", accepted: CIRCLE, rejected: "M-1-1L1 1M-1 1L1-1", unreached: CIRCLE,
  bonus: "M0-1.25L.34-.4 1.2-.39.54.17.76 1 0 .52-.76 1-.54.17-1.2-.39-.34-.4z", planned: CIRCLE,
};
const DRAW_ORDER = ["unreached", "planned", "rejected", "root", "accepted", "bonus"];
const MARGIN = { left: 30, right: 76, top: 22, bottom: 18 };
const WIDEST_COLUMN = 150, TALLEST_ROW = 40, READABLE_ROW = 13;
const ZOOM = { least: 0.5, most: 80, step: 1.35 };
const views = new WeakMap();
const LEFT_MOST = 32;
const left = new Map();

export default function ({ data, parentElement }) {
  if (!views.has(parentElement)) views.set(parentElement, createView(parentElement));
  const view = views.get(parentElement);
  if (data) show(view, data);
  return () => {
    view.observer.disconnect();
    leave(view);
    views.delete(parentElement);
  };
}

function createView(parent) {
  const find = (name) => parent.querySelector(`.tree-${name}`);
  const view = {
    root: find("view"), legend: find("legend"), stage: find("stage"), svg: find("svg"),
    tip: find("tip"), detail: find("detail"), focusButton: find("focus"),
    zoom: 1, x: 0, y: 0, touched: false, focused: false, selected: null, hovered: null, data: null,
    pen: document.createElement("canvas").getContext("2d"), frame: 0,
  };
  find("in").onclick = () => zoomBy(view, ZOOM.step);
  find("out").onclick = () => zoomBy(view, 1 / ZOOM.step);
  find("fit").onclick = () => fit(view);
  view.focusButton.onclick = () => setFocus(view, !view.focused);
  listen(view);
  view.observer = new ResizeObserver(() => view.data && (view.touched ? redraw(view) : fit(view)));
  view.observer.observe(view.stage);
  return view;
}

const place = (data) => `${data.mode} ${data.layout}`;

function leave(view) {
  if (!view.data || !view.touched) return;
  const { zoom, x, y, unitX, unitY, selected, touched } = view;
  left.delete(place(view.data));
  left.set(place(view.data), { zoom, x, y, unitX, unitY, selected, touched });
  if (left.size > LEFT_MOST) left.delete(left.keys().next().value);
}

function comeBack(view, data) {
  if (view.data || !left.has(place(data))) return false;
  Object.assign(view, left.get(place(data)));
  return true;
}
