// Two runs of one prompt replayed side by side, each token at the moment it was really written.
// Streamlit calls the default export again whenever the data or the theme changes; where the
// visitor is in the race lives in a view per mount and survives those calls.
// Token texts come from a model, so they only ever enter the document through textContent.

const views = new WeakMap();
const KEY_SHARE = 0.02;

export default function ({ data, parentElement }) {
  if (!views.has(parentElement)) views.set(parentElement, createView(parentElement));
  const view = views.get(parentElement);
  if (data) show(view, data);
  return () => {
    cancelAnimationFrame(view.frame);
    views.delete(parentElement);
  };
}

function createView(parent) {
  const find = (name) => parent.querySelector(`.race${name}`);
  const view = {
    root: find(""), play: find("-play"), speed: find("-speed"), scrub: find("-scrub"),
    clock: find("-clock"), stage: find("-lanes"), verdict: find("-verdict"),
    data: null, lanes: [], time: 0, playing: false, last: 0, frame: 0,
  };
  view.play.onclick = () => (view.playing ? pause(view) : play(view));
  find("-restart").onclick = () => restart(view);
  view.scrub.oninput = () => {
    pause(view);
    seek(view, (view.scrub.value / view.scrub.max) * view.data.seconds);
  };
  view.stage.onkeydown = (event) => onKey(view, event);
  // The page has keys of its own; those of the race's controls must not act there as well.
  view.root.addEventListener("keydown", (event) => event.stopPropagation());
  return view;
}

function show(view, data) {
  view.root.dataset.theme = isDark(view.root) ? "dark" : "light";
  if (view.data?.id === data.id) return;
  view.data = data;
  view.lanes = data.lanes.map(createLane);
  view.stage.replaceChildren(...view.lanes.map((lane) => lane.root));
  pause(view);
  seek(view, 0);
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches) play(view);
}

function isDark(element) {
  const probe = getComputedStyle(element).backgroundColor.match(/[\d.]+/g) ?? [255, 255, 255];
  return 0.299 * probe[0] + 0.587 * probe[1] + 0.114 * probe[2] < 128;
}

function createLane(data) {
  const root = made("section", `lane ${data.kind}`), head = made("header");
  const name = made("h3"), figures = made("p", "figures");
  const track = made("div", "track"), bar = made("div", "bar");
  const text = made("div", "words"), prompt = made("span", "prompt");
  name.textContent = data.name;
  prompt.textContent = data.prompt;
  const steps = data.steps.map((tokens) => {
    const step = made("span");
    step.hidden = true;
    for (const [origin, piece] of tokens) {
      const token = made("span", origin);
      token.textContent = piece;
      step.append(token);
    }
    return step;
  });
  text.append(prompt, ...steps);
  head.append(name, figures);
  track.append(bar);
  root.append(head, track, text);
  const written = [0];
  for (const tokens of data.steps) written.push(written.at(-1) + tokens.length);
  return { root, figures, bar, text, steps, written, ends: data.ends, shown: 0 };
}

function play(view) {
  if (view.time >= view.data.seconds) seek(view, 0);
  view.playing = true;
  view.last = performance.now();
  view.frame = requestAnimationFrame((now) => tick(view, now));
  state(view);
}

function pause(view) {
  view.playing = false;
  cancelAnimationFrame(view.frame);
  state(view);
}

function restart(view) {
  pause(view);
  seek(view, 0);
  play(view);
}

function tick(view, now) {
  const passed = Math.max(0, now - view.last) / 1000;
  view.last = now;
  seek(view, view.time + passed * Number(view.speed.value));
  if (view.time >= view.data.seconds) return pause(view);
  view.frame = requestAnimationFrame((next) => tick(view, next));
}

// Moves to a moment; what was written by then is shown, the rest hidden.
function seek(view, seconds) {
  view.time = Math.min(Math.max(seconds, 0), view.data.seconds);
  for (const lane of view.lanes) drawLane(lane, view.time);
  const shown = `${view.time.toFixed(2)} s`;
  view.clock.textContent = shown;
  view.scrub.value = Math.round((view.time / view.data.seconds) * view.scrub.max);
  view.scrub.setAttribute("aria-valuetext", `${shown} of ${view.data.seconds.toFixed(2)} s`);
  state(view);
}

function drawLane(lane, time) {
  while (lane.shown < lane.steps.length && lane.ends[lane.shown] <= time) {
    lane.steps[lane.shown++].hidden = false;
  }
  while (lane.shown > 0 && lane.ends[lane.shown - 1] > time) {
    lane.steps[--lane.shown].hidden = true;
  }
  const finished = lane.shown === lane.steps.length;
  const tokens = lane.written[lane.shown], seconds = finished ? lane.ends.at(-1) : time;
  const rate = seconds ? tokens / seconds : 0;
  lane.figures.textContent = `${finished ? "✓ " : ""}${seconds.toFixed(2)} s · `
    + `${tokens} ${tokens === 1 ? "token" : "tokens"} · ${rate.toFixed(1)} tokens/s`;
  lane.root.dataset.finished = finished;
  lane.bar.style.width = `${(100 * tokens) / lane.written.at(-1)}%`;
  lane.text.scrollTop = lane.text.scrollHeight;
}

function state(view) {
  const ended = view.data && view.time >= view.data.seconds;
  const now = ended ? "ended" : view.playing ? "playing" : "paused";
  if (view.root.dataset.state === now) return;
  view.root.dataset.state = now;
  view.play.textContent = now === "playing" ? "Pause" : ended ? "Play again" : "Play";
  view.verdict.textContent = ended ? view.data.verdict : "";
}

function onKey(view, event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const by = { ArrowLeft: -KEY_SHARE, ArrowRight: KEY_SHARE }[event.key];
  if (event.key === " ") view.play.click();
  else if (event.key === "Home") restart(view);
  else if (by) {
    pause(view);
    seek(view, view.time + by * view.data.seconds);
  } else return;
  event.preventDefault();
}

function made(name, kind = "") {
  const element = document.createElement(name);
  if (kind) element.className = kind;
  return element;
}
