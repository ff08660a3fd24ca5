"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const make = (name, text = "", kind = "") => Object.assign(document.createElement(name), {textContent: text, className: kind});
const kind = verdict => ({better: "better", worse: "worse", equivalent: "same", "": ""})[verdict] ?? "quiet";
// Numbers first, by what is shown; words after them.
const key = text => { const n = parseFloat(text.replace("−", "-").replace(/^[<±]/, "").replace(/,/g, "")); return Number.isNaN(n) ? text : n; };
const order = (a, b) => typeof a === typeof b ? (a < b ? -1 : a > b ? 1 : 0) : typeof a === "number" ? -1 : 1;

function sort(table, column, way) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, i) => head.setAttribute("aria-sort", i === column ? way : "none"));
  const sign = way === "descending" ? -1 : 1;
  const value = row => { const cell = row.cells[column]; return key(cell.dataset.sort ?? cell.textContent.trim()); };
  const empty = row => ["–", ""].includes(row.cells[column].textContent.trim());
  const rows = [...table.tBodies[0].rows].map((row, i) => [row, value(row), empty(row), i]);
  rows.sort((a, b) => a[2] - b[2] || sign * order(a[1], b[1]) || a[3] - b[3]);
  table.tBodies[0].append(...rows.map(row => row[0]));
}

document.querySelectorAll("table.sortable").forEach(table => {
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = make("button", head.textContent);
    button.type = "button";
    button.addEventListener("click", () => sort(table, column, head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending"));
    head.replaceChildren(button);
    head.setAttribute("aria-sort", "none");
  });
});

function name(line, i) {
  const head = make("th", data.names[i], line[3]);
  head.scope = "row";
  if (line[3]) head.append(" ", make("small", line[3] === "best" ? "best" : "tied"));
  return head;
}

function fill(table, rows) {
  const sorted = [...table.tHead.rows[0].cells].findIndex(head => head.getAttribute("aria-sort") !== "none");
  const way = sorted < 0 ? "" : table.tHead.rows[0].cells[sorted].getAttribute("aria-sort");
  table.tBodies[0].replaceChildren(...rows);
  if (sorted >= 0) sort(table, sorted, way);
}

function show() {
  const [protocol, metric] = choices.map(choice => choice.value);
  const table = data.tables[protocol + "|" + metric];
  const shown = document.getElementById("scores");
  shown.caption.textContent = table.title;
  shown.classList.toggle("unpublished", !table.sources.length);
  shown.classList.toggle("unplanned", !table.planned);
  fill(shown, table.rows.map((line, i) => {
    const row = make("tr");
    row.append(name(line, i), ...line[0].map((text, k) => make("td", text, k === 0 ? "word " + kind(line[2]) : "")));
    return row;
  }));
  document.getElementById("notes").replaceChildren(...[...table.notes, ...table.sources].map(note => make("li", note)));
  const every = document.getElementById("every");
  every.caption.textContent = "Every metric under " + protocol;
  fill(every, data.names.map((_, i) => {
    const row = make("tr");
    const lines = data.metrics.map(each => data.tables[protocol + "|" + each].rows[i]);
    const head = make("th", data.names[i]);
    head.scope = "row";
    row.append(head, ...lines.map(line => {
      const cell = make("td", line[1], line[3]);
      cell.append(" ", make("span", data.marks[line[2]] ?? "", kind(line[2])));
      return cell;
    }));
    return row;
  }));
}

const choices = ["choose-protocol", "choose-metric"].map(id => document.getElementById(id));
choices.forEach(choice => choice.addEventListener("change", show));
document.getElementById("choose").hidden = false;
