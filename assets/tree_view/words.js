// Part of tree_view.js: what a node is, in words.

function verdict(view, node) {
  const { data } = view;
  const target = number(data.target?.[node.id]), draft = number(data.draft?.[node.id]);
  if (node.status === "root") return "The last committed token: the tree grows from here.";
  if (node.status === "planned") {
    return `Reached and accepted in ${percent(node.weight)} of steps, by this acceptance vector.`;
  }
  if (node.status === "bonus") {
    return data.bonus.source === "leaf"
      ? "Bonus: sampled from the target, since every token on the path was accepted."
      : "Bonus: drawn from what the target had left, since every child here was rejected.";
  }
  if (node.status !== "unreached") {
    return `${node.status === "accepted" ? "Accepted" : "Rejected"}: `
      + `the target gave it ${target}, the draft ${draft}.`;
  }
  const parent = STATUSES[data.status[node.parent]];
  return parent === "accepted" || parent === "root"
    ? "Not reached: a sibling drawn before it was accepted."
    : "Not reached: its parent is not on the accepted path.";
}

function facts(view, node) {
  const { data } = view;
  if (node.status === "bonus") {
    return [["token", data.bonus.token], ["id", data.bonus.id], ["depth", node.column + 0.5],
      ["probability", number(data.bonus.prob)]];
  }
  const place = [["rank", data.rank[node.id] + 1], ["depth", node.column]];
  if (node.status === "planned" || data.mode === "plan") return place;
  const token = [["token", data.token[node.id]], ["id", data.id[node.id]]];
  if (node.status === "root") return token;
  return [...token, ...place, ["draft", number(data.draft[node.id])],
    ["target", number(data.target[node.id])]];
}

const number = (value) => value === undefined ? "" : value >= 0.001 || value === 0
  ? value.toFixed(3) : value.toExponential(1);
const percent = (value) => `${(100 * value).toFixed(value < 0.01 ? 2 : 1)} %`;

function describe(view) {
  const node = view.byId.get(view.selected);
  drawRing(view);
  view.detail.textContent = node
    ? `${facts(view, node).map(([name, value]) => `${name} ${value}`).join(" · ")}. ${verdict(view, node)}`
    : "Scroll to zoom, drag to move, click a node for its details. Keys: + − 0, arrows, Enter.";
}

function showTip(view, node) {
  view.hovered = node?.id ?? null;
  view.tip.hidden = !node;
  if (!node) return;
  const words = document.createElement("strong");
  words.textContent = verdict(view, node);
  const list = document.createElement("dl");
  for (const [name, value] of facts(view, node)) {
    const term = document.createElement("dt"), fact = document.createElement("dd");
    term.textContent = name;
    fact.textContent = value;
    list.append(term, fact);
  }
  view.tip.replaceChildren(words, list);
  const { clientWidth: width, clientHeight: height } = view.stage;
  const { offsetWidth, offsetHeight } = view.tip;
  const left = node.px + 16 + offsetWidth > width ? node.px - 16 - offsetWidth : node.px + 16;
  view.tip.style.left = `${Math.max(left, 4)}px`;
  view.tip.style.top = `${Math.min(Math.max(node.py - offsetHeight / 2, 4), height - offsetHeight - 4)}px`;
}
