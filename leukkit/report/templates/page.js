"use strict";
// Sorts and filters the tables. Everything is readable without this file.

const collator = new Intl.Collator("en", { numeric: true });
const comparison = document.querySelector('.filters[data-table="cells"]');
const sorted = {}; // table id -> { sort, order }

// ---- sort: a button in every head; rows without a number come last in both directions

function sortRows(table, head, order) {
  const column = [...head.parentNode.children].indexOf(head);
  const isNumber = head.dataset.type === "number";
  const sign = order === "descending" ? -1 : 1;
  const keyed = [...table.tBodies[0].rows].map((row) => {
    const cell = row.cells[column];
    const text = cell ? (cell.dataset.sort ?? cell.textContent.trim()) : "";
    return { row, key: isNumber && text !== "" ? Number(text) : text };
  });
  keyed.sort((one, two) => {
    if (one.key === "" || two.key === "") return (one.key === "") - (two.key === "");
    return sign * (isNumber ? one.key - two.key : collator.compare(one.key, two.key));
  });
  table.tBodies[0].append(...keyed.map((it) => it.row));
  for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", order);
  sorted[table.id] = { sort: head.dataset.key, order };
}

for (const head of document.querySelectorAll("table.sortable th")) {
  const button = document.createElement("button");
  button.type = "button";
  button.append(...head.childNodes);
  head.append(button);
  button.addEventListener("click", () => {
    const order = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
    sortRows(head.closest("table"), head, order);
    if (head.closest("#cells")) writeFragment();
  });
}

// ---- filter: selects compare with a data attribute, the text field with all words of a row

function filterRows(form) {
  const table = document.getElementById(form.dataset.table);
  const wanted = [...new FormData(form)].filter(([, value]) => value !== "");
  let shown = 0;
  for (const row of table.tBodies[0].rows) {
    row.words ??= row.textContent.toLowerCase();
    const fits = wanted.every(([name, value]) =>
      name === "text"
        ? value.toLowerCase().split(/\s+/).every((word) => row.words.includes(word))
        : row.dataset[name].split("|").includes(value),
    );
    row.hidden = !fits;
    shown += fits;
  }
  const count = table.tBodies[0].rows.length;
  form.querySelector("output").textContent = `${shown} of ${count} ${table.dataset.rows} shown`;
  table.nextElementSibling.hidden = shown > 0;
}

for (const form of document.querySelectorAll(".filters")) {
  const changed = () => {
    filterRows(form);
    if (form === comparison) writeFragment();
  };
  form.addEventListener("input", changed);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", (event) => {
    event.preventDefault(); // a reset would go back to what the page began with, not to all rows
    for (const field of form.elements) if (field.name) field.value = "";
    changed();
  });
  filterRows(form);
}

// ---- the comparison's filters and order live in the address, so that they can be linked

function writeFragment() {
  const state = new URLSearchParams(new FormData(comparison));
  for (const [name, value] of [...state]) if (value === "") state.delete(name);
  for (const [name, value] of Object.entries(sorted.cells ?? {})) state.set(name, value);
  history.replaceState(null, "", state.size ? `#${state}` : location.pathname);
}

function readFragment() {
  if (!location.hash.includes("=")) return; // an ordinary anchor
  const state = new URLSearchParams(location.hash.slice(1));
  for (const field of comparison.elements) if (field.name) field.value = state.get(field.name) ?? "";
  const head = document.querySelector(`#cells th[data-key="${CSS.escape(state.get("sort") ?? "")}"]`);
  if (head) sortRows(head.closest("table"), head, state.get("order") === "descending" ? "descending" : "ascending");
  filterRows(comparison);
  document.getElementById("comparison").scrollIntoView();
}

window.addEventListener("hashchange", readFragment);
readFragment();

// ---- on paper, the inconsistent claims are worth their pages: their lists are opened

let opened = [];
window.addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("details:not([open])")];
  for (const details of opened) details.open = true;
});
window.addEventListener("afterprint", () => {
  for (const details of opened) details.open = false;
});
