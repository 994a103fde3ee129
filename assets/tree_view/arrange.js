// Part of tree_view.js: from the data to nodes, marks and legend.

function show(view, data) {
  const sameTree = comeBack(view, data) || view.data?.layout === data.layout;
  view.data = data;
  view.root.dataset.theme = isDark(view.root) ? "dark" : "light";
  view.root.dataset.mode = data.mode;
  view.stage.style.height = `${data.height}px`;
  view.stage.setAttribute("aria-label", data.title);
  view.svg.dataset.step = data.step ?? "";
  view.focusButton.hidden = data.mode !== "step";
  if (data.mode !== "step") view.focused = false;
  if (!sameTree) view.selected = view.hovered = null;
  arrange(view);
  build(view);
  if (sameTree && view.touched) redraw(view);
  else fit(view);
  describe(view);
}

function isDark(element) {
  const probe = getComputedStyle(element).backgroundColor.match(/[\d.]+/g) ?? [255, 255, 255];
  return 0.299 * probe[0] + 0.587 * probe[1] + 0.114 * probe[2] < 128;
}

// Nodes to draw, with column (depth) and row, and the bonus token as one more node at the end.
function arrange(view) {
  const { data } = view;
  const nodes = data.parent.map((parent, id) => ({
    id, parent, status: STATUSES[data.status[id]], column: data.column[id], row: data.row[id],
    label: data.label[id], weight: data.weight?.[id], hidden: 0, leaf: true,
  }));
  for (const node of nodes) if (node.parent >= 0) nodes[node.parent].leaf = false;
  const shown = view.focused ? foldUnreached(nodes) : nodes;
  if (data.bonus) shown.push(bonusNode(data.bonus, shown));
  view.nodes = shown;
  view.byId = new Map(shown.map((node) => [node.id, node]));
}

// The bonus token stands between the columns: it belongs to no drafted level. It follows a leaf on
// its row, and comes below rejected children, as the draw that came after theirs.
function bonusNode(bonus, shown) {
  const from = shown.find((node) => node.id === bonus.at);
  const rows = shown.filter((node) => node.parent === bonus.at).map((node) => node.row);
  from.leaf = false;
  return { id: "bonus", parent: bonus.at, status: "bonus", column: from.column + 0.5,
    row: rows.length ? Math.max(...rows) + 0.5 : from.row, label: bonus.label, hidden: 0, leaf: true };
}

// Focus mode keeps the accepted path and the children tried along it; rows are counted afresh.
function foldUnreached(nodes) {
  const onPath = (id) => id === 0 || nodes[id].status === "accepted";
  const kept = nodes.filter((node) => node.parent < 0 || onPath(node.parent));
  const keptIds = new Set(kept.map((node) => node.id));
  for (const node of nodes) {
    let up = node;
    while (!keptIds.has(up.id)) up = nodes[up.parent];
    if (up !== node) up.hidden += 1;
  }
  let next = 0;
  const place = (node) => {
    const children = kept.filter((other) => other.parent === node.id);
    children.forEach(place);
    node.leaf = !children.length;
    node.row = children.length ? (children[0].row + children.at(-1).row) / 2 : next++;
  };
  place(kept[0]);
  return kept;
}

function build(view) {
  const layers = ["unreached", "planned0", "planned1", "planned2", "rejected", "accepted", "bonus"];
  view.edges = layers.map((name) => element("path", { class: `edge ${name}` }));
  const drawn = [...view.nodes].sort(
    (a, b) => DRAW_ORDER.indexOf(a.status) - DRAW_ORDER.indexOf(b.status));
  for (const node of drawn) {
    node.mark = element("path", { class: `node ${node.status}`, d: SYMBOLS[node.status] });
    node.mark.dataset.node = node.id;
    node.mark.dataset.status = node.status;
    if (node.weight !== undefined) node.mark.style.opacity = 0.3 + 0.7 * node.weight ** 0.4;
  }
  view.ring = element("circle", { class: "ring", r: 11 });
  view.labels = element("g", { class: "labels" });
  view.svg.replaceChildren(
    ...view.edges, ...drawn.map((node) => node.mark), view.ring, view.labels);
  buildLegend(view);
}

function buildLegend(view) {
  const counts = {};
  for (const code of view.data.status) {
    counts[STATUSES[code]] = (counts[STATUSES[code]] ?? 0) + 1;
  }
  const entries = view.data.mode === "step"
    ? ["accepted", "rejected", "unreached"].map((name) => [name, `${(counts[name] ?? 0).toLocaleString("en")} ${WORDS[name]}`])
    : [["planned", `${(view.data.status.length - 1).toLocaleString("en")} drafted; the larger, the likelier to be accepted`]];
  if (view.data.bonus) entries.push(["bonus", `bonus (${view.data.bonus.source})`]);
  view.legend.replaceChildren(...entries.map(([name, words]) => {
    const item = document.createElement("span");
    const symbol = element("svg", { viewBox: "-8 -8 16 16", width: 14, height: 14 });
    const scale = name === "bonus" ? 6 : name === "unreached" ? 4 : 5;
    symbol.append(element("path",
      { class: `node ${name}`, d: SYMBOLS[name], transform: `scale(${scale})` }));
    item.dataset.legend = name;
    item.append(symbol, words);
    return item;
  }));
}
