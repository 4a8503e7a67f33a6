// One picture at a time goes to the server; what it says is drawn. Asking anew cancels what was asked before.

import { drawPicture, drawRamp, showMaps } from "./maps.js";
import { showPredictions, showWeights, summary } from "./predictions.js";
import { showSwitches, switchedOff } from "./switches.js";

const NO_ANSWER = "The program behind this page does not answer. Is it still running?";
const part = (id) => document.getElementById(id);
const state = { about: null, picture: null, asking: null, answer: null };

function tell(message) {
  part("message").textContent = message.replace(/^./, (first) => first.toUpperCase());
  part("message").hidden = !message;
}

async function json(response) {
  const said = await response.json();
  if (!response.ok) throw new Error(said.error);
  return said;
}

async function describe() {
  const about = (state.about = await json(await fetch("about")));
  part("title").textContent = about.title;
  part("run").textContent = `Run: ${about.run}`;
  part("run").hidden = about.title.startsWith(about.run);
  const size = `${about.image_size}×${about.image_size} pixels`;
  part("about").textContent = [about.architecture, size].join(" · ");
  document.title = `${about.title} · bilateral explore`;
  showSwitches(part("switches"), about.silenceable);
  const heads = about.levels.length === 2 ? [...about.levels, "merged"] : about.levels;
  for (const head of heads) {
    const input = Object.assign(document.createElement("input"), {
      type: "radio", name: "head", value: head, checked: head === heads[0], onchange: drawMaps,
    });
    const label = document.createElement("label");
    label.append(input, head === "merged" ? "both, one map" : head);
    part("heads").append(label);
  }
  part("heads").hidden = heads.length === 1;
  if (about.kinds) {
    for (const { coarse, fine } of about.kinds) {
      for (const [tag, text] of [["dt", coarse], ["dd", fine.join(", ")]]) {
        part("labels").querySelector("dl").append(Object.assign(document.createElement(tag), { textContent: text }));
      }
    }
    part("labels").hidden = false;
  }
}

async function offerSamples() {
  const offered = await json(await fetch("samples"));
  part("no-samples").hidden = offered.length > 0;
  for (const { name, png } of offered) {
    const bytes = Uint8Array.from(atob(png), (character) => character.charCodeAt(0));
    const picture = Object.assign(new Image(), { src: `data:image/png;base64,${png}`, alt: name });
    const button = Object.assign(document.createElement("button"), { type: "button", title: name });
    button.append(picture);
    button.addEventListener("click", () => take([new File([bytes], name, { type: "image/png" })]));
    const item = document.createElement("li");
    item.append(button);
    part("samples").querySelector("ul").append(item);
    part("samples").hidden = false;
  }
}

function take(files) {
  const [file] = files;
  if (!file) return tell("That was no file. Save the picture first, then drop or choose it.");
  const megabytes = (bytes) => `${Math.ceil(bytes / 2 ** 20)} MB`;
  const most = state.about?.max_upload;
  if (file.size > most) return tell(`The file ${file.name} has ${megabytes(file.size)}; ${megabytes(most)} is the most.`);
  return ask(file).then(() => state.picture === file && showResults());
}

// On a phone the answer stands below the picture and the switches.
function showResults() {
  if (part("results").getBoundingClientRect().top > innerHeight) part("results").scrollIntoView();
}

async function ask(file) {
  state.asking?.abort();
  const asking = (state.asking = new AbortController());
  const query = new URLSearchParams({ name: file.name });
  for (const name of switchedOff(part("switches"))) query.append("silenced", name);
  part("results").setAttribute("aria-busy", "true");
  try {
    const post = { method: "POST", body: file, signal: asking.signal };
    const answer = await json(await fetch(`answer?${query}`, post));
    if (state.asking !== asking) return;
    state.picture = file;
    await show(answer, file.name);
    tell("");
  } catch (error) {
    if (state.asking !== asking) return;
    const still = state.picture ? ` What stands here is still of ${state.picture.name}.` : "";
    tell((error instanceof TypeError ? NO_ANSWER : error.message) + still);
  } finally {
    if (state.asking === asking) part("results").setAttribute("aria-busy", "false");
  }
}

async function show(answer, name) {
  const image = new Image();
  image.src = `data:image/png;base64,${answer.picture.png}`;
  await image.decode();
  state.answer = { ...answer, image };
  const { width, height } = answer.picture;
  drawPicture(part("picture"), image);
  part("name").textContent = name;
  part("seen-note").textContent = `As the network sees it: the middle square, at ${width}×${height} pixels.`;
  part("seen").hidden = false;
  part("summary").textContent = summary(answer);
  part("sure").hidden = false;
  part("shares").hidden = Object.values(answer.levels).every(({ left_share: share }) => share === null);
  part("marks").hidden = !answer.silenced.length;
  showWeights(part("weights"), answer);
  showPredictions(part("predictions"), answer);
  drawMaps();
}

function drawMaps() {
  if (!state.answer || !state.about.has_maps) return;
  part("looks").hidden = false;
  const head = document.querySelector("#heads input:checked").value;
  showMaps(part("maps"), state.answer, head, part("opacity").value / 100);
}

part("file").addEventListener("change", ({ target }) => {
  if (target.files.length) take([...target.files]);
  target.value = ""; // the same file may be chosen again
});
addEventListener("paste", ({ clipboardData }) => clipboardData.files.length && take(clipboardData.files));
addEventListener("dragover", (event) => {
  event.preventDefault();
  part("drop").classList.add("over");
});
addEventListener("dragleave", ({ relatedTarget }) => relatedTarget || part("drop").classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  part("drop").classList.remove("over");
  take(event.dataTransfer.files);
});
part("switches").addEventListener("change", () => state.picture && ask(state.picture));
part("opacity").addEventListener("input", drawMaps);
drawRamp(part("ramp"));
describe().then(offerSamples).catch(() => tell(NO_ANSWER));
