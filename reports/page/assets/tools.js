/* What every page's tables and texts can do: be sorted, be copied. */

/* ---- copying ---- */
async function copied(element) {
  try {
    await navigator.clipboard.writeText(element.textContent);
    return true;
  } catch {
    getSelection().selectAllChildren(element);
    return document.execCommand("copy");
  }
}
for (const button of document.querySelectorAll("[data-copy]")) {
  const words = button.textContent;
  button.addEventListener("click", async () => {
    button.textContent = await copied(document.getElementById(button.dataset.copy)) ? "Copied" : "Select it and copy";
    setTimeout(() => { button.textContent = words; }, 2000);
  });
}

/* ---- sorting ---- */
/* A table sorts by a column when its head is pressed: largest first, then smallest first, then as it was. Rows that
   belong together are one <tbody>; each stage (a heading, and what follows it) is sorted by itself. */
const BYTES = {B: 1, kB: 1e3, MB: 1e6, GB: 1e9};
/* A number, a size, a time such as 2:03.4, or a text; NaN for the dash of what is not known. */
function valueOf(cell) {
  const text = cell.textContent.trim();
  if (text === "\u2013") return NaN;
  if (/^(\d+:)+[\d.]+$/.test(text)) return text.split(":").reduce((sum, part) => sum * 60 + Number(part), 0);
  const [, number, unit] = /^([\d.]+)(?:\s(\w+))?$/.exec(text) || [];
  return number === undefined ? text.toLowerCase() : Number(number) * (BYTES[unit] || 1);
}
function stagesOf(table) {
  const stages = [];
  for (const body of table.tBodies) {
    if (body.classList.contains("stage") || !stages.length) stages.push({head: body.classList.contains("stage") ? body : null, groups: []});
    const stage = stages[stages.length - 1];
    if (body === stage.head) continue;
    if (body.classList.contains("members")) stage.groups[stage.groups.length - 1].push(body);
    else stage.groups.push([body]);
  }
  return stages;
}
function compared(a, b) {
  if (typeof a === "number" && typeof b === "number") return Number.isNaN(a) ? (Number.isNaN(b) ? 0 : 1) : Number.isNaN(b) ? -1 : b - a;
  return String(a).localeCompare(String(b));
}
function sortable(table) {
  const stages = stagesOf(table), heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const order = {none: "descending", descending: "ascending", ascending: "none"}[head.getAttribute("aria-sort") || "none"];
      for (const other of heads) other.removeAttribute("aria-sort");
      if (order !== "none") head.setAttribute("aria-sort", order);
      for (const {head: title, groups} of stages) {
        const value = group => valueOf(group[0].rows[0].cells[column]), sign = order === "ascending" ? -1 : 1;
        const sorted = order === "none" ? groups : [...groups].sort((a, b) => {
          const [x, y] = [value(a), value(b)];
          return Number.isNaN(x) || Number.isNaN(y) ? compared(x, y) : sign * compared(x, y);
        });
        if (title) table.append(title);
        for (const group of sorted) table.append(...group);
      }
    });
  });
}
document.querySelectorAll("table[data-sortable]").forEach(sortable);
