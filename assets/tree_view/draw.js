// Part of tree_view.js: where nodes, edges and labels stand at the present zoom.

function fit(view) {
  const rows = view.nodes.map((node) => node.row);
  const columns = view.nodes.map((node) => node.column);
  const width = view.stage.clientWidth - MARGIN.left - MARGIN.right;
  const height = view.stage.clientHeight - MARGIN.top - MARGIN.bottom;
  if (width <= 0 || height <= 0) return;
  const top = Math.min(...rows), tall = Math.max(...rows) - top, wide = Math.max(...columns);
  view.unitX = Math.min(width / Math.max(wide, 1), WIDEST_COLUMN);
  view.unitY = Math.min(height / Math.max(tall, 1), TALLEST_ROW);
  Object.assign(view, { zoom: 1, touched: false, x: MARGIN.left + (width - wide * view.unitX) / 2 });
  view.y = MARGIN.top + (height - tall * view.unitY) / 2 - top * view.unitY;
  redraw(view);
}

// Columns stop growing where labels fit between them, so zooming in opens up the crowded rows.
const scaleX = (view, zoom = view.zoom) =>
  Math.min(view.unitX * zoom, Math.max(WIDEST_COLUMN, view.unitX));
const scaleY = (view, zoom = view.zoom) => view.unitY * zoom;

function zoomBy(view, factor, at) {
  const point = at ?? { x: view.stage.clientWidth / 2, y: view.stage.clientHeight / 2 };
  const zoom = Math.min(Math.max(view.zoom * factor, ZOOM.least), ZOOM.most);
  view.x = point.x - ((point.x - view.x) / scaleX(view)) * scaleX(view, zoom);
  view.y = point.y - ((point.y - view.y) / scaleY(view)) * scaleY(view, zoom);
  Object.assign(view, { zoom, touched: true });
  redraw(view);
}

function panBy(view, dx, dy) {
  Object.assign(view, { x: view.x + dx, y: view.y + dy, touched: true });
  redraw(view);
}

function redraw(view) {
  if (!view.frame) view.frame = requestAnimationFrame(() => { view.frame = 0; draw(view); });
}

function draw(view) {
  const kx = scaleX(view), ky = scaleY(view);
  const small = Math.min(Math.max(ky * 0.28, 1.3), 4);
  for (const node of view.nodes) {
    node.px = view.x + node.column * kx;
    node.py = view.y + node.row * ky;
    node.size = sizeOf(node, small);
    const at = `translate(${node.px.toFixed(1)} ${node.py.toFixed(1)}) scale(${node.size.toFixed(2)})`;
    node.mark.setAttribute("transform", at);
  }
  drawEdges(view);
  drawLabels(view, ky);
  drawRing(view);
  view.svg.dataset.zoom = view.zoom.toFixed(3);
  view.svg.dataset.origin = `${view.x.toFixed(1)} ${view.y.toFixed(1)}`;
}

function sizeOf(node, small) {
  if (node.weight !== undefined) return Math.max(small * 0.7, 6 * Math.sqrt(node.weight));
  return { root: 5.5, accepted: 6, bonus: 8, rejected: Math.max(small, 3.4) }[node.status] ?? small;
}

function drawEdges(view) {
  const parts = view.edges.map(() => []);
  const layer = { unreached: 0, rejected: 4, accepted: 5, bonus: 6 };
  for (const node of view.nodes) {
    const from = view.byId.get(node.parent);
    if (!from) continue;
    const index = layer[node.status] ?? (node.weight > 0.3 ? 3 : node.weight > 0.05 ? 2 : 1);
    const middle = ((from.px + node.px) / 2).toFixed(1);
    parts[index].push(`M${from.px.toFixed(1)} ${from.py.toFixed(1)}C${middle} ${from.py.toFixed(1)} `
      + `${middle} ${node.py.toFixed(1)} ${node.px.toFixed(1)} ${node.py.toFixed(1)}`);
  }
  view.edges.forEach((edge, index) => edge.setAttribute("d", parts[index].join("")));
}

// Labels by importance. No label covers another, nor a mark that matters; those of nodes off the
// path cover no mark at all.
function drawLabels(view, rowHeight) {
  const importance = { bonus: 0, accepted: 1, root: 2, rejected: 3, planned: 4, unreached: 5 };
  const matters = (node) => importance[node.status] < 4;
  const { clientWidth: width, clientHeight: height } = view.stage;
  const seen = view.nodes.filter((node) => node.px > -40 && node.px < width + 10
    && node.py > -10 && node.py < height + 10);
  const taken = seen.filter(matters).map(markBox);
  const marks = seen.filter((node) => !matters(node)).map(markBox);
  const texts = [];
  view.pen.font = `11px ${getComputedStyle(view.root).fontFamily}`;
  const wanted = seen.filter((node) => matters(node) || rowHeight >= READABLE_ROW || triedBeside(view, node))
    .sort((a, b) => importance[a.status] - importance[b.status] || (b.weight ?? 0) - (a.weight ?? 0));
  for (const node of wanted) {
    const words = node.hidden ? `${node.label} +${node.hidden}` : node.label;
    if (!words) continue;
    const boxes = labelBoxes(node, view.pen.measureText(words).width + 2);
    const box = boxes.find((place) => !taken.some((other) => overlap(place, other))
      && (matters(node) || !marks.some((other) => overlap(place, other))));
    if (!box) continue;
    taken.push(box);
    texts.push(labelText(node, words, box));
  }
  view.labels.replaceChildren(...texts);
}

function triedBeside(view, node) {
  const parent = view.byId.get(node.parent);
  return parent && (parent.status === "accepted" || parent.status === "root");
}

const markBox = ({ px, py, size }) =>
  ({ left: px - size, right: px + size, top: py - size, bottom: py + size });
const overlap = (one, other) => one.left < other.right && other.left < one.right
  && one.top < other.bottom && other.top < one.bottom;

// Places to try, best first: beside a leaf, above a node whose right side has its children's edges.
function labelBoxes(node, width) {
  const gap = node.size + 3;
  const left = node.px - width / 2;
  const above = { left, right: left + width, top: node.py - gap - 12, bottom: node.py - gap };
  const below = { left, right: left + width, top: node.py + gap, bottom: node.py + gap + 12 };
  const beside = { left: node.px + gap + 1, right: node.px + gap + 1 + width,
    top: node.py - 6, bottom: node.py + 6 };
  if (node.status === "bonus") return [beside, below, above];
  return node.leaf ? [beside] : [above];
}

function labelText(node, words, box) {
  const text = element("text", { class: `label ${node.status}`, x: box.left, y: box.bottom - 2.5 });
  text.textContent = words;
  return text;
}

function drawRing(view) {
  const node = view.byId.get(view.selected);
  view.ring.style.display = node ? "" : "none";
  if (node) view.ring.setAttribute("transform", `translate(${node.px} ${node.py})`);
}

function setFocus(view, focused) {
  view.focused = focused;
  view.focusButton.setAttribute("aria-pressed", String(focused));
  if (focused) view.selected = null;
  arrange(view);
  build(view);
  fit(view);
  describe(view);
}
