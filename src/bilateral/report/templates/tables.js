{
  const compareTexts = new Intl.Collator("en", { numeric: true }).compare;

  /** What a cell is sorted by: a number, else its text, else null where it holds nothing. */
  function keyOf(cell) {
    const number = Number.parseFloat(cell.dataset.value);
    if (Number.isFinite(number)) return number;
    const text = cell.textContent.trim();
    return text === "" || text.startsWith("–") ? null : text;
  }

  function compare(first, second, sign) {
    if (first === null || second === null) return (first === null) - (second === null);
    if (typeof first !== typeof second) return typeof first === "number" ? -1 : 1;
    return sign * (typeof first === "number" ? first - second : compareTexts(first, second));
  }

  // Numbers go from the greatest down first, words from A; a third click brings the order back that the table had.
  function makeSortable(table) {
    const body = table.tBodies[0];
    const original = [...body.rows];
    const headers = [...table.tHead.rows[0].cells];
    const sort = (column) => {
      const header = headers[column];
      const orders = header.classList.contains("number") ? ["descending", "ascending"] : ["ascending", "descending"];
      const order = orders[orders.indexOf(header.getAttribute("aria-sort")) + 1];
      headers.forEach((each) => each.removeAttribute("aria-sort"));
      const rows = [...original];
      if (order) {
        header.setAttribute("aria-sort", order);
        const sign = order === "ascending" ? 1 : -1;
        const keys = new Map(rows.map((row) => [row, keyOf(row.cells[column])]));
        rows.sort((first, second) => compare(keys.get(first), keys.get(second), sign));
      }
      body.append(...rows);
    };
    headers.forEach((header, column) => header.querySelector("button").addEventListener("click", () => sort(column)));
  }

  document.querySelectorAll(".table table").forEach(makeSortable);
}
