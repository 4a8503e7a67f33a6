{
  const PAGE = 48;
  const ALONE = { 11: "both right alone", 10: "only left right alone", "01": "only right right alone", "00": "neither right alone" };
  const HEADS = { 11: "both heads right", 10: "only the fine head right", "01": "only the coarse head right", "00": "no head right" };

  function start(explorer) {
    const gallery = JSON.parse(document.getElementById("gallery-data").textContent);
    const find = (id) => document.getElementById(id);
    const [superclass, fine, list, more] = ["superclass", "class", "thumbnails", "more"].map(find);
    const cells = [...explorer.querySelectorAll("[data-cell]")];
    const chosen = { cell: null, image: null, shown: PAGE };

    const ofClass = (image) =>
      (superclass.value === "" || image.coarse === superclass.value) && (fine.value === "" || image.fine === fine.value);
    const matching = () =>
      gallery.images.filter((image) => ofClass(image) && (chosen.cell === null || image.cell === chosen.cell));

    /** Offer the names that have images, each with their number. */
    function offer(select, names, level, everything) {
      const counts = new Map(names.map((name) => [name, gallery.images.filter((image) => image[level] === name).length]));
      const options = names.filter((name) => counts.get(name)).map((name) => new Option(`${name} (${counts.get(name)})`, name));
      select.replaceChildren(new Option(everything, ""), ...options);
    }

    function offerClasses() {
      const parent = gallery.superclasses.indexOf(superclass.value);
      const names = gallery.classes.filter((_, index) => parent < 0 || gallery.coarse_of_fine[index] === parent);
      offer(fine, names, "fine", "all");
    }

    function showCells() {
      const images = gallery.images.filter(ofClass);
      for (const button of cells) {
        const cell = button.dataset.cell;
        const count = images.filter((image) => image.cell === cell).length;
        const pressed = cell === chosen.cell;
        button.textContent = count;
        button.setAttribute("aria-label", `${ALONE[cell.slice(0, 2)]}, ${HEADS[cell.slice(2)]}: ${count}`);
        button.setAttribute("aria-pressed", pressed);
        button.disabled = count === 0 && !pressed;
      }
    }

    function thumbnail(image) {
      const picture = make("img", {
        src: `data:image/webp;base64,${image.picture}`,
        alt: `${image.fine}, test image ${image.image}`,
      });
      const name = make("span", { "aria-hidden": "true" }, image.fine);
      const button = make("button", { type: "button", tabIndex: -1, title: image.fine, "aria-pressed": image === chosen.image }, picture, name);
      button.addEventListener("click", () => choose(image, button));
      button.addEventListener("focus", () => rove(button));
      return make("li", {}, button);
    }

    const buttons = () => [...list.querySelectorAll("button")];

    /** Of all thumbnails the keyboard stops at one alone; arrows lead to the others. */
    function rove(button) {
      buttons().forEach((each) => (each.tabIndex = each === button ? 0 : -1));
    }

    function choose(image, button) {
      chosen.image = image;
      buttons().forEach((each) => each.setAttribute("aria-pressed", each === button));
      const panel = find("detail");
      const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
      return showDetail(panel, image).then(() => {
        if (button && panel.getBoundingClientRect().top > innerHeight - 120)
          panel.scrollIntoView({ behavior: still ? "auto" : "smooth" });
      });
    }

    function show() {
      const images = matching();
      list.replaceChildren(...images.slice(0, chosen.shown).map(thumbnail));
      const first = list.querySelector('[aria-pressed="true"]') ?? list.querySelector("button");
      if (first) rove(first);
      more.hidden = images.length <= chosen.shown;
      more.textContent = `More (${images.length - chosen.shown})`;
      const outcome = chosen.cell === null ? "" : `: ${ALONE[chosen.cell.slice(0, 2)]}, ${HEADS[chosen.cell.slice(2)]}`;
      const number = images.length === 1 ? "1 image" : `${images.length} images`;
      find("summary").textContent = `${number}${outcome}${images.length > chosen.shown ? `; the first ${chosen.shown} are shown` : ""}`;
      showCells();
    }

    function restart() {
      chosen.shown = PAGE;
      list.scrollTop = 0;
      show();
    }

    /** Where an arrow leads from a thumbnail: a neighbour in reading order, or the one above or below. */
    function neighbour(all, index, key) {
      const columns = all.filter((button) => button.offsetTop === all[0].offsetTop).length;
      const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns };
      if (key === "Home") return all[0];
      if (key === "End") return all.at(-1);
      return key in steps ? all[index + steps[key]] : undefined;
    }

    list.addEventListener("keydown", (event) => {
      const all = buttons();
      const next = neighbour(all, all.indexOf(document.activeElement), event.key);
      if (!next) return;
      event.preventDefault();
      next.focus();
    });
    for (const button of cells)
      button.addEventListener("click", () => {
        chosen.cell = chosen.cell === button.dataset.cell ? null : button.dataset.cell;
        restart();
      });
    superclass.addEventListener("change", () => {
      offerClasses();
      restart();
    });
    fine.addEventListener("change", restart);
    more.addEventListener("click", () => {
      const from = chosen.shown;
      chosen.shown += PAGE;
      show();
      buttons()[from].focus();
    });
    find("everything").addEventListener("click", () => {
      chosen.cell = null;
      superclass.value = "";
      offerClasses();
      restart();
    });

    offer(superclass, gallery.superclasses, "coarse", "all");
    offerClasses();
    explorer.querySelector(".explorer-body").hidden = false;
    if (gallery.images.length) choose(gallery.images[0], null);
    show();
  }

  const explorer = document.getElementById("explorer");
  if (explorer) start(explorer);
}
