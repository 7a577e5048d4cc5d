"use strict";
// What changes is fetched again; sorting, the filter and the marks stay as they are.
const order = { column: -1, up: false };
const filter = document.querySelector("input[data-filter]");
const two = document.querySelector("button[data-two]");
const marked = new Set();

function value(row) {
  const cell = row.cells[order.column];
  const text = cell.dataset.v ?? cell.textContent.trim();
  return text === "" ? null : Number.isNaN(Number(text)) ? text : Number(text);
}

function compared(a, b) {
  if (a === null || b === null) return (a === null) - (b === null);
  const less = typeof a === typeof b ? a < b : typeof a === "number";
  return (a === b ? 0 : less ? -1 : 1) * (order.up ? 1 : -1);
}

function arrange() {
  const table = document.querySelector("table.sortable");
  if (!table) return;
  const rows = [...table.tBodies[0].rows];
  if (order.column >= 0) {
    const heads = table.tHead.rows[0].cells;
    for (const head of heads) head.removeAttribute("aria-sort");
    heads[order.column].setAttribute("aria-sort", order.up ? "ascending" : "descending");
    table.tBodies[0].append(...rows.sort((a, b) => compared(value(a), value(b))));
  }
  const wanted = filter.value.trim().toLowerCase();
  for (const row of rows) {
    row.hidden = !row.textContent.toLowerCase().includes(wanted);
    const box = row.querySelector("input");
    box.checked = marked.has(box.value);
  }
  two.disabled = marked.size !== 2;
}

function buttons() {
  document.querySelectorAll("table.sortable thead th").forEach((head, column) => {
    if (!head.textContent) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      order.up = order.column === column ? !order.up : !head.classList.contains("n");
      order.column = column;
      arrange();
    });
  });
}

async function renew() {
  if (document.hidden) return;
  const answer = await fetch(location.pathname).catch(() => null);
  if (!answer?.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const id of ["live", "table"]) {
    const [old, fresh] = [document, page].map((one) => one.getElementById(id));
    if (!old || !fresh || old.dataset.was === fresh.innerHTML) continue;
    old.dataset.was = fresh.innerHTML;
    const focused = old.contains(document.activeElement);
    if (focused && id === "live") continue;
    old.replaceChildren(...fresh.childNodes);
    if (id === "table") buttons();
  }
  arrange();
}

document.addEventListener("change", (event) => {
  if (event.target.name !== "n") return;
  if (event.target.checked) marked.add(event.target.value);
  else marked.delete(event.target.value);
  arrange();
});
filter?.addEventListener("input", arrange);
buttons();
arrange();
const live = document.getElementById("live");
if (live) setInterval(renew, 1000 * live.dataset.seconds);
