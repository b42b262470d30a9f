// The list of sentences that one can reorder. Gradio calls this with `element`, `props`, `trigger` and `watch`.
// The rows in the document are the order. Rows move past the one that is moved, never that one: it would lose the
// focus and the pointer. Texts are set as text, so nothing in them is run.

const list = element.querySelector(".so-rows");
const reset = element.querySelector(".so-reset");
const live = element.querySelector("[aria-live=assertive]");
const MOVES = { ArrowUp: -1, ArrowDown: 1, Home: -Infinity, End: Infinity };
const SCROLL_EDGE = 60; // pixels from the edge of the list's view where a drag scrolls
const SCROLL_STEP = 12; // pixels a frame
let value;

const rows = () => [...list.children];
const order = () => rows().map((row) => Number(row.dataset.index));
const place = (row) => rows().indexOf(row);
const quote = (text) => (text.length > 50 ? `${text.slice(0, 49)}…` : text);

function make(tag, name, text = "") {
  const node = document.createElement(tag);
  node.className = name;
  node.textContent = text;
  return node;
}

function makeButton(name, label, text, onclick) {
  const button = make("button", name, text);
  button.type = "button";
  button.setAttribute("aria-label", label);
  button.onclick = onclick;
  return button;
}

function makeRow(index) {
  const row = make("li", "so-row");
  row.dataset.index = index;
  const sentence = make("span", "so-sentence", value.sentences[index]);
  sentence.dir = "auto";
  const name = `“${quote(value.sentences[index])}”`;
  const handle = makeButton("so-handle", `Move ${name}`, "⠿", null);
  handle.setAttribute("aria-describedby", "so-hint");
  handle.onkeydown = (event) => {
    if (!(event.key in MOVES)) return;
    event.preventDefault();
    moveTo(row, place(row) + MOVES[event.key]);
    row.scrollIntoView({ block: "nearest" });
  };
  handle.onpointerdown = (event) => drag(row, handle, event);
  const chip = make("b", "so-chip", index + 1);
  chip.title = `Sentence ${index + 1} of your text`;
  chip.style.setProperty("--t", index / Math.max(value.sentences.length - 1, 1));
  const moved = make("span", "so-moved");
  for (const node of [chip, moved]) node.setAttribute("aria-hidden", true); // in their place:
  const spoken = make("span", "so-hidden", `, place ${index + 1} in your text`);
  const up = makeButton("so-step so-up", `Move up ${name}`, "↑", () => moveTo(row, place(row) - 1));
  const down = makeButton("so-step so-down", `Move down ${name}`, "↓", () => moveTo(row, place(row) + 1));
  const card = make("div", "so-card");
  card.append(handle, make("span", "so-place"), sentence, spoken, chip, moved, up, down);
  row.append(make("p", "so-link"), card);
  return row;
}

// What depends on the places: numbers, arrows, and the probability between neighbours.
function update() {
  const now = order();
  rows().forEach((row, at) => {
    const [link, moved] = [row.querySelector(".so-link"), row.querySelector(".so-moved")];
    const index = now[at];
    row.querySelector(".so-place").textContent = at + 1;
    row.classList.toggle("so-changed", value.predicted[at] !== index);
    moved.textContent = index === at ? "=" : index > at ? `▲${index - at}` : `▼${at - index}`;
    moved.dataset.way = index === at ? "same" : index > at ? "up" : "down";
    moved.title = index === at ? "At the same place as in your text" : `Place ${index + 1} in your text`;
    const follows = at && value.neighbours ? value.neighbours[now[at - 1]][index] : null;
    link.hidden = follows === null;
    const percent = follows < 0.01 ? "under 1" : Math.min(Math.round(100 * follows), 99);
    link.textContent = follows === null ? "" : `${percent} % that this comes next`;
    link.style.setProperty("--p", follows ?? 0);
    // Not `disabled`, with which a button loses the focus.
    row.querySelector(".so-up").setAttribute("aria-disabled", at === 0);
    row.querySelector(".so-down").setAttribute("aria-disabled", at === now.length - 1);
  });
  reset.hidden = now.every((index, at) => index === value.predicted[at]);
}

// Changes the list, and lets rows glide to their new places.
function rearrange(change, except = null) {
  const before = new Map(rows().map((row) => [row, row.getBoundingClientRect().top]));
  change();
  update();
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  for (const [row, top] of before) {
    const distance = top - row.getBoundingClientRect().top;
    if (row === except || !distance) continue;
    row.animate([{ transform: `translateY(${distance}px)` }, { transform: "none" }], { duration: 160, easing: "ease-out" });
  }
}

function put(row, target) {
  while (place(row) > target) list.insertBefore(row.previousElementSibling, row.nextElementSibling);
  while (place(row) < target) list.insertBefore(row.nextElementSibling, row);
}

function moveTo(row, target) {
  const to = Math.max(0, Math.min(target, list.children.length - 1));
  if (to === place(row)) return;
  rearrange(() => put(row, to));
  ask(row);
}

// Says where a row is now, and asks the server how probable this order is.
function ask(row) {
  live.textContent = row
    ? `“${quote(value.sentences[row.dataset.index])}”, now ${place(row) + 1} of ${list.children.length}`
    : "The model's order";
  value.order = order();
  props.value = { ...value };
  trigger("input");
}

function drag(row, handle, event) {
  if (event.button) return;
  event.preventDefault();
  handle.focus();
  handle.setPointerCapture(event.pointerId);
  row.classList.add("so-dragged");
  const start = place(row);
  const grip = event.clientY - row.getBoundingClientRect().top;

  let pointer = event.clientY;
  let frame = null;

  const follow = () => {
    row.style.transform = "";
    const middle = pointer - grip + row.offsetHeight / 2;
    const others = rows().filter((other) => other !== row);
    const target = others.filter((other) => other.offsetTop + other.offsetHeight / 2 < middle - top()).length;
    if (target !== place(row)) rearrange(() => put(row, target), row);
    row.style.transform = `translateY(${pointer - grip - row.getBoundingClientRect().top}px)`;
  };
  const top = () => list.getBoundingClientRect().top - list.offsetTop;
  // As long as the pointer stays at an edge. Above the comparison, which covers the end of a long list, is one too.
  const scroll = () => {
    const cover = document.querySelector("#so-own").getBoundingClientRect().top;
    const bottom = list.getBoundingClientRect().bottom > cover ? Math.min(cover, innerHeight) : innerHeight;
    const before = scrollY;
    if (pointer < Math.min(SCROLL_EDGE, event.clientY)) scrollBy(0, -SCROLL_STEP);
    if (pointer > Math.max(bottom - SCROLL_EDGE, event.clientY)) scrollBy(0, SCROLL_STEP);
    if (scrollY !== before) follow();
    frame = requestAnimationFrame(scroll);
  };
  const escape = (pressed) => pressed.key === "Escape" && end(false);
  const end = (isKept) => {
    handle.onpointermove = handle.onpointerup = handle.onpointercancel = null;
    removeEventListener("keydown", escape);
    cancelAnimationFrame(frame);
    row.style.transform = "";
    row.classList.remove("so-dragged");
    if (!isKept) rearrange(() => put(row, start));
    if (place(row) !== start) ask(row);
  };
  handle.onpointermove = (moved) => {
    pointer = moved.clientY;
    follow();
  };
  frame = requestAnimationFrame(scroll);
  handle.onpointerup = () => end(true);
  handle.onpointercancel = () => end(false);
  addEventListener("keydown", escape);
}

function draw() {
  value = JSON.parse(JSON.stringify(props.value)); // a copy of what gradio watches
  list.replaceChildren(...value.order.map(makeRow));
  update();
}

reset.onclick = () => {
  rearrange(() => value.predicted.forEach((index) => list.append(rows().find((row) => row.dataset.index == index))));
  ask(null);
  list.querySelector(".so-handle").focus();
};
watch("value", draw);
draw();
