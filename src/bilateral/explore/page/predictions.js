// Labels as bars, what changed against the intact network, and how much each hemisphere contributes.

import { isLesion, plain } from "./switches.js";

const percent = (share) => `${(100 * share).toFixed(1)}\u00a0%`;
const sentence = (text) => text[0].toUpperCase() + text.slice(1);

function made(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

export function summary({ levels, silenced, belongs }) {
  const best = Object.entries(levels).map(([level, { predictions: [first] }]) => {
    return `${level}: ${first.label}, ${percent(first.probability)}`;
  });
  const names = silenced.map((name) => (isLesion(name) ? `the lesion ${plain(name)}` : name));
  const without = names.length ? `without ${names.join(" and ")}, ` : "";
  const disagreement = belongs ? ` The two heads disagree: this fine label belongs to “${belongs}”.` : "";
  return `${sentence(`${without}${best.join("; ")}.`)}${disagreement}`;
}

export function showWeights(place, { weights }) {
  place.hidden = !weights;
  place.replaceChildren(...(weights ? [share(weights.left, "Weight of each hemisphere: how much the heads hear of it")] : []));
}

export function showPredictions(place, { levels, heard }) {
  // The colour says who is heard: both hemispheres, one, or none.
  const speaker = heard.length === 2 ? "bilateral" : heard[0] ?? "none";
  place.replaceChildren(
    ...Object.entries(levels).map(([level, said]) => {
      const parts = [made("h3", { textContent: `${sentence(level)} label` })];
      if (said.changes) parts.push(change(said));
      parts.push(made("ol", {}, ...said.predictions.map((entry, rank) => bar(entry, said.changes?.before[rank]))));
      if (said.left_share !== null) parts.push(share(said.left_share));
      if (!heard.length) parts.push(made("p", { className: "hint" }, "No hemisphere is heard: this is the head's bias alone."));
      return made("div", { className: `level ${speaker}` }, ...parts);
    }),
  );
}

function bar({ label, probability }, before) {
  const filled = made("i");
  filled.style.width = `${100 * probability}%`;
  const track = made("div", { className: "bar", ariaHidden: "true" }, filled);
  const number = made("span", { className: "number", textContent: percent(probability) });
  if (before !== undefined) {
    const tick = made("b");
    tick.style.left = `${100 * before}%`;
    track.append(tick);
    number.prepend(made("small", { textContent: `${percent(before)} → ` }));
  }
  return made("li", {}, made("span", { textContent: label }), number, track);
}

function change({ changes: { best_before: best, probability_now: now, same }, predictions: [first] }) {
  const moved = `${percent(best.probability)} → ${percent(now)}`;
  const text = made("p", { className: "changes" });
  const strong = ({ label }) => made("strong", { textContent: label });
  if (same) text.append("Still ", strong(best), `: ${moved}.`);
  else text.append("No longer ", strong(best), ` (${moved}), but `, strong(first), ".");
  return text;
}

function share(left, title = "Share of each hemisphere") {
  const parts = [["left", left], ["right", 1 - left]];
  const ends = parts.map(([side, part]) => made("span", { className: side, textContent: `${side} ${percent(part)}` }));
  const bars = parts.filter(([, part]) => part > 0).map(([side, part]) => {
    const piece = made("i", { className: side });
    piece.style.width = `${100 * part}%`;
    return piece;
  });
  return made(
    "div",
    { className: "share" },
    made("span", { textContent: title }),
    made("div", { className: "parts", ariaHidden: "true" }, ...bars),
    made("div", { className: "ends" }, ...ends),
  );
}
