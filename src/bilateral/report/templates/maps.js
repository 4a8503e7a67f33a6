/** Draw a picture, and over it a map, coarser than the picture, with the colours of matplotlib's cividis. */
const drawMap = (() => {
  const CIVIDIS = [
    [0, 34, 78], [0, 46, 106], [26, 56, 111], [50, 67, 109], [67, 78, 108], [83, 90, 109], [97, 101, 111],
    [111, 112, 115], [125, 124, 120], [140, 136, 120], [155, 148, 118], [171, 160, 114], [188, 174, 108],
    [205, 187, 99], [222, 201, 88], [240, 216, 70], [254, 232, 56],
  ];

  function decode(map) {
    return Uint8Array.from(atob(map.values), (character) => character.charCodeAt(0));
  }

  /** The colour of a value from 0 to 255. */
  function colour(value) {
    const place = (value / 255) * (CIVIDIS.length - 1);
    const lower = Math.min(Math.floor(place), CIVIDIS.length - 2);
    return CIVIDIS[lower].map((from, channel) => from + (place - lower) * (CIVIDIS[lower + 1][channel] - from));
  }

  /** The value at a place, 0 to 1 from edge to edge, straight between the centres of cells. */
  function interpolate(values, width, height, x, y) {
    const column = Math.min(Math.max(x * width - 0.5, 0), width - 1);
    const row = Math.min(Math.max(y * height - 0.5, 0), height - 1);
    const [left, top] = [Math.floor(column), Math.floor(row)];
    const [right, bottom] = [Math.min(left + 1, width - 1), Math.min(top + 1, height - 1)];
    const along = (line) => {
      const [from, to] = [values[line * width + left], values[line * width + right]];
      return from + (column - left) * (to - from);
    };
    return along(top) + (row - top) * (along(bottom) - along(top));
  }

  function overlay(map, size) {
    const values = decode(map);
    const pixels = new ImageData(size, size);
    for (let row = 0; row < size; row++) {
      for (let column = 0; column < size; column++) {
        const value = interpolate(values, map.width, map.height, (column + 0.5) / size, (row + 0.5) / size);
        pixels.data.set([...colour(value), 255], 4 * (row * size + column));
      }
    }
    const canvas = make("canvas", { width: size, height: size });
    canvas.getContext("2d").putImageData(pixels, 0, 0);
    return canvas;
  }

  /** Prepare a canvas; gives what draws it with an opacity from 0 to 1. */
  return (canvas, picture, map) => {
    const context = canvas.getContext("2d");
    const size = canvas.width;
    const above = overlay(map, size);
    return (opacity) => {
      context.imageSmoothingEnabled = false;
      context.globalAlpha = 1;
      context.drawImage(picture, 0, 0, size, size);
      context.globalAlpha = opacity;
      context.drawImage(above, 0, 0);
    };
  };
})();
