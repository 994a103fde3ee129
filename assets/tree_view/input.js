// Part of tree_view.js: pointer and keys.

function listen(view) {
  const { stage } = view;
  let drag = null;
  const at = (event) => {
    const box = stage.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  stage.onwheel = (event) => {
    // Zoomed out fully, the wheel goes back to scrolling the page.
    if (event.deltaY > 0 && view.zoom <= 1) return;
    event.preventDefault();
    zoomBy(view, Math.exp(-event.deltaY * 0.0016), at(event));
  };
  stage.ondblclick = () => fit(view);
  stage.onpointerdown = (event) => {
    drag = { x: event.clientX, y: event.clientY, moved: false };
    stage.setPointerCapture(event.pointerId);
  };
  stage.onpointermove = (event) => {
    if (!drag) return showTip(view, nearest(view, at(event), 14));
    const dx = event.clientX - drag.x, dy = event.clientY - drag.y;
    if (!drag.moved && Math.hypot(dx, dy) < 4) return;
    showTip(view, null);
    panBy(view, dx, dy);
    drag = { x: event.clientX, y: event.clientY, moved: true };
  };
  stage.onpointerup = (event) => {
    if (drag && !drag.moved) select(view, nearest(view, at(event), 14)?.id ?? null);
    drag = null;
  };
  stage.onpointercancel = () => { drag = null; };
  stage.onpointerleave = () => showTip(view, null);
  stage.onkeydown = (event) => onKey(view, event);
}

function nearest(view, point, within) {
  let best = null, least = within;
  for (const node of view.nodes) {
    const distance = Math.hypot(node.px - point.x, node.py - point.y);
    if (distance < least) [best, least] = [node, distance];
  }
  return best;
}

function select(view, id) {
  view.selected = id;
  describe(view);
}

function onKey(view, event) {
  const pan = { ArrowLeft: [40, 0], ArrowRight: [-40, 0], ArrowUp: [0, 40], ArrowDown: [0, -40] };
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "+" || event.key === "=") zoomBy(view, ZOOM.step);
  else if (event.key === "-") zoomBy(view, 1 / ZOOM.step);
  else if (event.key === "0") fit(view);
  else if (event.key === "Enter") select(view, view.selected ?? 0);
  else if (event.key === "Escape") select(view, null);
  else if (!pan[event.key]) return;
  else if (view.selected === null) panBy(view, ...pan[event.key]);
  else select(view, neighbour(view, event.key));
  // The page has its own Left and Right; they must not act as well.
  event.preventDefault();
  event.stopPropagation();
}

// With a node selected the arrows walk the tree: left to the parent, right to the first child
// (the accepted one if there is one), up and down among siblings.
function neighbour(view, key) {
  const node = view.byId.get(view.selected);
  const children = view.nodes.filter((other) => other.parent === node.id);
  const siblings = view.nodes.filter((other) => other.parent === node.parent)
    .sort((a, b) => a.row - b.row);
  const place = siblings.indexOf(node);
  const to = {
    ArrowLeft: view.byId.get(node.parent),
    ArrowRight: children.find((other) => other.status === "accepted") ?? children[0],
    ArrowUp: siblings[place - 1],
    ArrowDown: siblings[place + 1],
  }[key];
  return (to ?? node).id;
}

function element(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}
