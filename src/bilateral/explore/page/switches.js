// What can be switched off: hemispheres, bridges and their directions, parts, and the network's own lesions.

const GROUPS = [
  ["Hemispheres", ["hemisphere"], "A hemisphere that is off gives zeros for all its features. Nothing is trained anew."],
  ["Bridges", ["bridge", "direction"], "A bridge that is off, or one direction of it, carries nothing."],
  ["Parts", ["part"], "A part that is off leaves the values as they are."],
  ["Lesions", ["lesion"], "A lesion that is off does no damage."],
];
const SIDES = ["left", "right"];
const OWN = "lesions.";

// As the config names it.
export const plain = (name) => name.replace(OWN, "");
export const isLesion = (name) => name.startsWith(OWN);

export function showSwitches(place, silenceable) {
  for (const [title, kinds, hint] of GROUPS) {
    const own = silenceable.filter(({ kind }) => kinds.includes(kind));
    if (!own.length) continue;
    const group = document.createElement("fieldset");
    const legend = Object.assign(document.createElement("legend"), { textContent: title });
    const note = Object.assign(document.createElement("p"), { className: "hint", textContent: hint });
    group.append(legend, ...own.map(made), note);
    place.append(group);
  }
  place.hidden = !silenceable.length;
}

export function switchedOff(place) {
  return [...place.querySelectorAll("input")].filter((input) => !input.checked).map((input) => input.name);
}

function made({ name, kind }) {
  const text = kind === "hemisphere" ? name[0].toUpperCase() + name.slice(1) : plain(name);
  const side = SIDES.find((each) => name.split(".")[0] === each);
  const label = Object.assign(document.createElement("label"), { className: `switch ${kind} ${side ?? "bilateral"}` });
  const input = Object.assign(document.createElement("input"), { type: "checkbox", name, checked: true });
  input.setAttribute("role", "switch");
  const state = Object.assign(document.createElement("output"), { textContent: "on", ariaHidden: "true" });
  input.addEventListener("change", () => (state.textContent = input.checked ? "on" : "off"));
  label.append(input, Object.assign(document.createElement("span"), { textContent: text }), state);
  return label;
}
