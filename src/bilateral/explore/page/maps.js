// Grad-CAM maps over the picture, in cividis, which colour-blind people read too.

const SIZE = 384;
const CIVIDIS = ["00224e", "1a386f", "434e6c", "61656f", "7d7c78", "9b9476", "bcae6c", "dec958", "fee838"].map((hex) =>
  [0, 2, 4].map((place) => parseInt(hex.slice(place, place + 2), 16)),
);
const COLOURS = Array.from({ length: 256 }, (_, value) => {
  const position = (value / 255) * (CIVIDIS.length - 1);
  const below = Math.min(Math.floor(position), CIVIDIS.length - 2);
  return CIVIDIS[below].map((from, channel) => from + (position - below) * (CIVIDIS[below + 1][channel] - from));
});

export function drawPicture(canvas, image) {
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
}

export function drawRamp(canvas) {
  canvas.getContext("2d").drawImage(coloured(Uint8Array.from({ length: 256 }, (_, value) => value), 256, 1), 0, 0);
}

export function showMaps(place, { image, levels, merged, silenced }, head, opacity) {
  const maps = head === "merged" ? [["bilateral", merged]] : Object.entries(levels[head].maps);
  place.classList.toggle("single", maps.length === 1);
  place.replaceChildren(...maps.map(([side, map]) => figure(side, map, image, head, silenced.includes(side), opacity)));
}

function figure(side, { width, height, values }, image, head, isSilenced, opacity) {
  const bytes = Uint8Array.from(atob(values), (character) => character.charCodeAt(0));
  const peak = bytes.reduce((best, value, index) => (value > bytes[best] ? index : best), 0);
  const stretched = bytes.map((value) => (255 * value) / (bytes[peak] || 1));
  const canvas = Object.assign(document.createElement("canvas"), { width: SIZE, height: SIZE, role: "img" });
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, SIZE, SIZE);
  // Without its colours, so that all colour is the map's.
  context.globalCompositeOperation = "saturation";
  context.fillStyle = "grey";
  context.fillRect(0, 0, SIZE, SIZE);
  context.globalCompositeOperation = "source-over";
  context.globalAlpha = isSilenced ? 0 : opacity;
  context.drawImage(coloured(stretched, width, height), 0, 0, SIZE, SIZE);
  const own = `${side[0].toUpperCase()}${side.slice(1)} hemisphere`;
  const title = side === "bilateral" ? "Both hemispheres and heads" : own;
  const note = isSilenced ? "off: gives nothing" : bytes[peak] ? where(peak, width, height) : "no support anywhere";
  canvas.ariaLabel = `${title}, ${head === "merged" ? "merged" : `${head} head`}: ${note}`;
  const caption = document.createElement("figcaption");
  caption.append(Object.assign(document.createElement("b"), { textContent: title }), note);
  const whole = Object.assign(document.createElement("figure"), { className: side });
  whole.append(canvas, caption);
  return whole;
}

function where(peak, width, height) {
  const third = (place, length) => Math.floor((3 * (place + 0.5)) / length);
  const row = ["top", "", "bottom"][third(Math.floor(peak / width), height)];
  const column = ["left", "", "right"][third(peak % width, width)];
  return `strongest at the ${[row, column].filter(Boolean).join(" ") || "centre"}`;
}

function coloured(values, width, height) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(width, height);
  values.forEach((value, index) => pixels.data.set([...COLOURS[value], 255], 4 * index));
  context.putImageData(pixels, 0, 0);
  return canvas;
}
