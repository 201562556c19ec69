"use strict";
// Sorts and filters the tables. Everything is readable without this file.

const collator = new Intl.Collator("en", { numeric: true });
const comparison = document.querySelector('.filters[data-table="cells"]');

// ---- sort: a button in every head; rows without a number come last in both directions

function sortRows(head, order) {
  const body = head.closest("table").tBodies[0];
  const sign = order === "descending" ? -1 : 1;
  const keyed = [...body.rows].map((row) => {
    const cell = row.cells[head.cellIndex];
    const number = cell?.dataset.sort;
    return { row, key: number ? Number(number) : number ?? cell?.textContent.trim() ?? "" };
  });
  keyed.sort((one, two) => {
    if (one.key === "" || two.key === "") return (one.key === "") - (two.key === "");
    return sign * (typeof one.key === "number" ? one.key - two.key : collator.compare(one.key, two.key));
  });
  body.append(...keyed.map((it) => it.row));
  for (const other of head.parentNode.children) other.ariaSort = other === head ? order : null;
}

for (const head of document.querySelectorAll("table.sortable th")) {
  const button = document.createElement("button");
  button.append(...head.childNodes);
  head.append(button);
  button.addEventListener("click", () => {
    sortRows(head, head.ariaSort === "ascending" ? "descending" : "ascending");
    if (head.closest("#cells")) writeFragment();
  });
}

// ---- filter: selects compare with a data attribute, the text field with all words of a row

function filterRows(form) {
  const table = document.getElementById(form.dataset.table);
  const { text, ...chosen } = Object.fromEntries(new FormData(form));
  const words = text.toLowerCase().split(/\s+/);
  const rows = [...table.tBodies[0].rows];
  for (const row of rows) {
    row.words ??= row.textContent.toLowerCase();
    row.hidden =
      !words.every((word) => row.words.includes(word)) ||
      !Object.entries(chosen).every(([name, value]) => !value || row.dataset[name].split("|").includes(value));
  }
  const shown = rows.filter((row) => !row.hidden).length;
  form.querySelector("output").textContent = `${shown} of ${rows.length} ${table.dataset.rows} shown`;
  table.nextElementSibling.hidden = shown > 0;
}

function fill(form, values) {
  for (const field of form.elements) if (field.name) field.value = values.get(field.name) ?? "";
  filterRows(form);
}

for (const form of document.querySelectorAll(".filters")) {
  const keep = () => form === comparison && writeFragment();
  form.addEventListener("input", () => {
    filterRows(form);
    keep();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", (event) => {
    event.preventDefault(); // a reset would go back to what the page began with, not to all rows
    fill(form, new Map());
    keep();
  });
  filterRows(form);
}

// ---- the comparison's filters and order live in the address, so that they can be linked

function writeFragment() {
  const state = new URLSearchParams([...new FormData(comparison)].filter(([, value]) => value));
  const head = document.querySelector("#cells th[aria-sort]");
  if (head) state.set("sort", head.dataset.key), state.set("order", head.ariaSort);
  history.replaceState(null, "", state.size ? `#${state}` : location.pathname);
}

function readFragment() {
  if (!location.hash.includes("=")) return; // an ordinary anchor
  const state = new URLSearchParams(location.hash.slice(1));
  fill(comparison, state);
  const heads = [...document.querySelectorAll("#cells th")];
  const head = heads.find((head) => head.dataset.key === state.get("sort"));
  if (head) sortRows(head, state.get("order") === "descending" ? "descending" : "ascending");
  document.getElementById("comparison").scrollIntoView();
}

window.addEventListener("hashchange", readFragment);
readFragment();
