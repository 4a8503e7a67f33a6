/** Fill the panel of one image: its maps, what each network says of it, whom the heads listen to. */
const showDetail = (() => {
  const CANVAS = 160;
  const SPEAKERS = { left: "Left alone", right: "Right alone", fine: "Fine head", coarse: "Coarse head" };
  const LEVELS = { left: "fine", right: "coarse", fine: "fine", coarse: "coarse" };
  let opacity = 0.6;
  let latest = 0;

  const percent = (share) => `${(100 * share).toFixed(share > 0 && share < 0.0995 ? 1 : 0)} %`;

  function bar(share, speaker) {
    const filled = make("span", { className: "bar-filled" });
    filled.style.width = `${100 * share}%`;
    filled.style.background = `var(--${speaker})`;
    return make("span", { className: "bar", "aria-hidden": "true" }, filled);
  }

  function predictions(speaker, image) {
    const truth = image[LEVELS[speaker]];
    const ranked = image.predictions[speaker];
    const right = ranked.length > 0 && ranked[0][0] === truth;
    const verdict = make("span", { className: right ? "right" : "wrong" }, right ? "✓ right" : "✗ wrong");
    const items = ranked.map(([name, probability]) => {
      const label = make("span", { className: "bar-label" }, name);
      if (name === truth) label.append(" ", make("span", { className: "true" }, "✓ true"));
      return make("li", {}, label, bar(probability, speaker), make("span", { className: "bar-value" }, percent(probability)));
    });
    return make("section", { className: "speaker", "data-speaker": speaker },
      make("h4", {}, SPEAKERS[speaker], " ", verdict), make("ol", {}, ...items));
  }

  function shares(image) {
    const items = Object.entries(image.shares ?? {}).map(([head, left]) => {
      const both = make("span", { className: "bar bar-shared", "aria-hidden": "true" });
      for (const [side, share] of [["left", left], ["right", 1 - left]]) {
        const part = make("span");
        part.style.width = `${100 * share}%`;
        part.style.background = `var(--${side})`;
        both.append(part);
      }
      const label = make("span", { className: "bar-label" }, SPEAKERS[head]);
      const value = make("span", { className: "bar-value" }, `left ${percent(left)}, right ${percent(1 - left)}`);
      return make("li", {}, label, both, value);
    });
    if (items.length === 0) return "";
    return make("section", { className: "shares" }, make("h4", {}, "Share of each hemisphere in each head"), make("ul", {}, ...items));
  }

  /** The canvas of a map with what redraws it; a dash where there is no map. */
  function mapCell(picture, map, label, redraws) {
    if (!map) return "–";
    const canvas = make("canvas", { width: CANVAS, height: CANVAS, role: "img", "aria-label": label });
    redraws.push(drawMap(canvas, picture, map));
    return canvas;
  }

  function maps(image, picture) {
    const given = image.maps ?? {};
    const redraws = [];
    const row = (head) =>
      make("tr", {}, make("th", { scope: "row" }, `${head} head`),
        ...["left", "right"].map((side) =>
          make("td", {}, mapCell(picture, given[head]?.[side], `Map of ${side} for the ${head} head`, redraws))));
    const heads = ["fine", "coarse"].filter((head) => given[head]);
    const grid = make("table", { className: "maps" },
      make("caption", {}, "What speaks for the answer, in each hemisphere"),
      make("thead", {}, make("tr", {}, make("td"),
        ...["left", "right"].map((side) => make("th", { scope: "col" }, make("span", { className: `swatch ${side}` }), side)))),
      make("tbody", {}, ...heads.map(row)));
    const merged = given.merged?.both
      && make("figure", {}, mapCell(picture, given.merged.both, "Map of both hemispheres, merged", redraws),
        make("figcaption", {}, "both, merged"));

    const slider = make("input", { type: "range", id: "opacity", min: 0, max: 100, value: 100 * opacity });
    const draw = () => redraws.forEach((redraw) => redraw(opacity));
    slider.addEventListener("input", () => {
      opacity = slider.value / 100;
      draw();
    });
    draw();
    const scale = make("p", { className: "scale" }, "little ", make("span", { "aria-hidden": "true" }), " much");
    const strength = make("div", { className: "strength" }, make("label", { htmlFor: "opacity" }, "Strength of the maps"), slider, scale);
    return { grid: heads.length ? grid : "", merged: merged || "", strength: redraws.length ? strength : "" };
  }

  return async (panel, image) => {
    const turn = ++latest;
    const picture = make("img", {
      className: "picture",
      src: `data:image/webp;base64,${image.picture}`,
      alt: `Test image ${image.image}: ${image.fine}`,
    });
    await picture.decode().catch(() => undefined);
    if (turn !== latest) return;
    const { grid, merged, strength } = maps(image, picture);
    panel.replaceChildren(
      make("h3", {}, image.fine),
      make("p", { className: "labels" }, `superclass ${image.coarse}, test image ${image.image}`),
      make("div", { className: "looks" },
        make("div", { className: "looks-whole" }, make("figure", {}, picture, make("figcaption", {}, "image")), merged), grid),
      strength,
      make("div", { className: "speakers" }, ...Object.keys(SPEAKERS).map((speaker) => predictions(speaker, image))),
      shares(image),
    );
  };
})();
