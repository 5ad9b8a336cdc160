"use strict";
const FIRST_ROWS = 300;
const collator = new Intl.Collator(undefined, { numeric: true });

const textOf = (cell) => (Array.isArray(cell) ? cell[0] : cell);
const keyOf = (cell) => (Array.isArray(cell) && cell[1] !== null ? cell[1] : textOf(cell));

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (typeof a === "number") return -1;
  if (typeof b === "number") return 1;
  return collator.compare(a, b);
}

/* The direction that a click asks for: the first click shows numbers from the highest. */
function turn(head, numeric) {
  const before = head.getAttribute("aria-sort");
  for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
  const descending = before ? before === "ascending" : numeric;
  head.setAttribute("aria-sort", descending ? "descending" : "ascending");
  return descending ? -1 : 1;
}

function makeSortable(table) {
  const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  heads.forEach((head, column) => head.querySelector("button")?.addEventListener("click", () => {
    const sign = turn(head, head.classList.contains("number"));
    const key = (row) => {
      const cell = row.cells[column];
      return cell.dataset.sort !== undefined && !isNaN(cell.dataset.sort) ? Number(cell.dataset.sort) : cell.textContent;
    };
    const bound = (row) => row.classList.contains("bounds");
    for (const body of table.tBodies) {
      body.append(...[...body.rows].sort((a, b) => bound(a) - bound(b) || sign * compare(key(a), key(b))));
    }
  }));
}

function makeSelect(table, column, chosen, changed) {
  const values = [...new Set(table.rows.map((row) => textOf(row[column])))];
  const label = document.createElement("label");
  const select = document.createElement("select");
  label.append(table.columns[column], select);
  select.add(new Option("all", ""));
  for (const value of values) select.add(new Option(value, "=" + value));
  if (values.includes(chosen)) select.value = "=" + chosen;
  select.addEventListener("change", changed);
  return { column, label, select, needed: values.length > 1 };
}

/* A column of words among the numbers. */
const isText = (table, column) => table.rows.some((row) => Array.isArray(row[column]) && row[column][2] === "text");

/* A name of method and parameters may break after its commas. */
function write(entry, text) {
  text.split(/(?<=,)/).forEach((part, at) => entry.append(...(at ? [document.createElement("wbr")] : []), part));
  if (text.includes(",")) entry.classList.add("long");
}

function makeRow(table, row, hidden) {
  const line = document.createElement("tr");
  row.forEach((cell, column) => {
    if (hidden.has(column)) return;
    const entry = line.insertCell();
    entry.className = (Array.isArray(cell) && cell[2]) || "";
    write(entry, textOf(cell));
    if (column >= table.text) entry.classList.add("number");
    if (column < table.text && textOf(cell).length > 60) entry.classList.add("wrap");
  });
  return line;
}

function makeExplorer(root) {
  const table = JSON.parse(root.querySelector("script").textContent);
  const view = root.querySelector("table");
  const head = view.createTHead().insertRow();
  const body = view.createTBody();
  let order = null;
  let limit = Number(root.dataset.rows) || FIRST_ROWS;
  const preset = { label: root.dataset.label, metric: root.dataset.metric };

  function show() {
    const active = filters.filter((filter) => filter.select.value);
    let rows = table.rows.filter((row) => active.every((f) => "=" + textOf(row[f.column]) === f.select.value));
    if (order) rows = [...rows].sort((a, b) => order.sign * compare(keyOf(a[order.column]), keyOf(b[order.column])));
    // a column that the filter holds to one value says nothing
    const hidden = new Set(active.map((filter) => filter.column));
    [...head.cells].forEach((cell, column) => { cell.hidden = hidden.has(column); });
    body.replaceChildren(...rows.slice(0, limit).map((row) => makeRow(table, row, hidden)));
    const shown = root.querySelector(".shown");
    const held = active.map((filter) => filter.select.value.slice(1)).join(", ");
    shown.textContent = `${held ? held + ": " : ""}${Math.min(limit, rows.length)} of ${table.rows.length} rows.`;
    if (rows.length > limit) {
      const more = document.createElement("button");
      more.className = "more";
      more.textContent = `Show all ${rows.length}`;
      more.addEventListener("click", () => { limit = Infinity; show(); });
      shown.append(" ", more);
    }
  }

  const filters = table.filters.map((column) => {
    const name = table.columns[column];
    const first = name === "test set" && !("allTestSets" in root.dataset) ? textOf(table.rows[0][column]) : undefined;
    return makeSelect(table, column, preset[name] || first, show);
  });
  root.querySelector(".filters").append(...filters.filter((f) => f.needed).map((f) => f.label));
  table.columns.forEach((name, column) => {
    const cell = document.createElement("th");
    const button = document.createElement("button");
    cell.scope = "col";
    button.type = "button";
    button.textContent = name;
    if (column >= table.text) cell.className = isText(table, column) ? "number text" : "number";
    button.addEventListener("click", () => { order = { column, sign: turn(cell, column >= table.text) }; show(); });
    cell.append(button);
    head.append(cell);
  });
  show();
}

function choosePair(root) {
  const [first, second] = root.querySelectorAll("select");
  root.querySelector(".filters").hidden = false;
  const forests = [...root.querySelectorAll(".forest")];
  const find = (a, b) => forests.find((f) => f.dataset.first === a && f.dataset.second === b);
  const show = (changed, other) => {
    let found = find(first.value, second.value) || find(second.value, first.value);
    if (!found) {
      found = forests.find((f) => f.dataset.first === changed.value || f.dataset.second === changed.value);
      other.value = found.dataset.first === changed.value ? found.dataset.second : found.dataset.first;
    }
    for (const forest of forests) forest.hidden = forest !== found;
  };
  first.addEventListener("change", () => show(first, second));
  second.addEventListener("change", () => show(second, first));
}

/* A link into a folded section opens it. */
function openTarget() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const folded = target && target.querySelector(":scope > details");
  if (folded && !folded.open) { folded.open = true; target.scrollIntoView(); }
}

function followSections() {
  const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
  const seen = new Set();
  const watch = new IntersectionObserver((entries) => {
    for (const entry of entries) entry.isIntersecting ? seen.add(entry.target.id) : seen.delete(entry.target.id);
    const current = [...links.keys()].find((name) => seen.has(name));
    for (const [name, link] of links) name === current ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current");
  }, { rootMargin: "0px 0px -60% 0px" });
  for (const section of document.querySelectorAll("main > section")) watch.observe(section);
}

const dialog = document.getElementById("enlarged");
for (const button of document.querySelectorAll(".enlarge")) {
  button.addEventListener("click", () => {
    const source = button.querySelector("img");
    const target = dialog.querySelector("img");
    target.src = source.src;
    target.alt = source.alt;
    dialog.showModal();
  });
}
dialog.addEventListener("click", () => dialog.close());
/* What is folded is made when it is opened. */
for (const root of document.querySelectorAll(".explorer")) {
  const folded = root.closest("details");
  if (!folded || folded.open) makeExplorer(root);
  else folded.addEventListener("toggle", () => makeExplorer(root), { once: true });
}
for (const table of document.querySelectorAll("table.sortable")) if (table.querySelector("tbody td[class]") && !table.closest(".explorer")) makeSortable(table);
for (const root of document.querySelectorAll(".pair")) choosePair(root);
addEventListener("hashchange", openTarget);
openTarget();
followSections();
