// The pictures of the gallery: functions from numbers to Vega-Lite views, which compose, and `draw`, which has Vega write one as
// SVG without a browser. The same numbers give the same bytes.

import { encode } from 'fast-png';
import { type LoggerInterface, parse, resetSVGDefIds, scheme, View } from 'vega';
import { compile, type TopLevelSpec } from 'vega-lite';

type Json = Readonly<Record<string, unknown>>;
/** A Vega-Lite view: a plot, an image, or several of them. */
export type Picture = Json;

/** A line, or a cloud of points. */
export interface Series {
  readonly name: string;
  /** 0, 1, 2, .. unless given. */
  readonly x?: ArrayLike<number>;
  readonly y: ArrayLike<number>;
}

export interface Axis {
  readonly title: string;
  /** A logarithmic axis, for values above 0. */
  readonly log?: boolean;
  /** From the values unless given; what lies outside is cut off. */
  readonly range?: readonly [number, number];
}

export interface PlotOptions {
  readonly title: string;
  readonly x: Axis;
  readonly y: Axis;
  /** Whether a line has a mark at each of its points. */
  readonly points?: boolean;
  /** Pixels of the plot's area: 320 × 240 unless given. */
  readonly width?: number;
  readonly height?: number;
}

const plotSize = { width: 320, height: 240 };
/** Elements of pictures are told to this many digits: enough for a pixel, and the same on every processor. */
const digits = 5;
const rounded = (value: number): number => Number(value.toPrecision(digits));

function points(series: readonly Series[]): Json {
  const values = series.flatMap(({ name, x, y }) =>
    Array.from(y, (value, i) => ({ series: name, order: i, x: rounded(x?.[i] ?? i), y: rounded(value) })),
  );
  return { values };
}

const position = (field: string, { title, log, range }: Axis): Json => ({
  field,
  type: 'quantitative',
  title,
  scale: { ...(log ? { type: 'log' } : { zero: false }), nice: range === undefined, ...(range && { domain: range }) },
  axis: { grid: false, ...(log && { tickCount: 5, format: '~g' }) },
});

function marks(mark: Json, series: readonly Series[], { title, x, y, width, height }: PlotOptions): Picture {
  const clip = x.range !== undefined || y.range !== undefined;
  const colour = {
    field: 'series',
    type: 'nominal',
    title: null,
    scale: { domain: series.map(({ name }) => name) },
    ...(mark.type === 'point' && { legend: { symbolType: 'circle', symbolStrokeWidth: 0 } }),
    ...(series.length === 1 && { legend: null }),
  };
  return {
    title,
    width: width ?? plotSize.width,
    height: height ?? plotSize.height,
    data: points(series),
    mark: { ...mark, clip },
    encoding: { x: position('x', x), y: position('y', y), color: colour, order: { field: 'order' } },
  };
}

/** A line for each series, drawn in the order of its points, with a legend where there are several. */
export const linePlot = (series: readonly Series[], options: PlotOptions): Picture =>
  marks({ type: 'line', strokeWidth: 1.5, point: options.points === true }, series, options);

/** A point for each pair, coloured by series. */
export const scatterPlot = (series: readonly Series[], options: PlotOptions): Picture =>
  marks({ type: 'point', filled: true, size: 18, opacity: 0.7 }, series, options);

export interface BarOptions {
  readonly title: string;
  readonly y: Axis;
  readonly width?: number;
  readonly height?: number;
}

/** A bar for each name, in the order given. */
export function barPlot(
  bars: readonly { readonly name: string; readonly value: number }[],
  options: BarOptions,
): Picture {
  const { title, y, width, height } = options;
  const names = { field: 'name', type: 'nominal', title: null, sort: null, axis: { labelAngle: 0 } };
  return {
    title,
    width: width ?? plotSize.width,
    height: height ?? plotSize.height,
    data: { values: bars.map(({ name, value }) => ({ name, y: rounded(value) })) },
    mark: { type: 'bar' },
    encoding: { x: names, y: { ...position('y', y), scale: { zero: true } } },
  };
}

/** Bars over numbers: how many of the values fall between neighbouring edges, which are equally far apart. */
export function histogram(values: ArrayLike<number>, bins: number, options: PlotOptions): Picture {
  const all = Array.from(values);
  const [least, greatest] = options.x.range ?? [Math.min(...all), Math.max(...all)];
  const width = (greatest - least) / bins || 1;
  const counts = new Array<number>(bins).fill(0);
  for (const value of all) {
    if (value < least || value > greatest) continue;
    counts[Math.min(bins - 1, Math.floor((value - least) / width))]!++;
  }
  const data = counts.map((y, i) => ({ x: rounded(least + i * width), end: rounded(least + (i + 1) * width), y }));
  return {
    title: options.title,
    width: options.width ?? plotSize.width,
    height: options.height ?? plotSize.height,
    data: { values: data },
    mark: { type: 'bar' },
    encoding: {
      x: { ...position('x', options.x), bin: { binned: true } },
      x2: { field: 'end' },
      y: { ...position('y', options.y), scale: { zero: true } },
    },
  };
}

/** Colours from the least value to the greatest. 'grays' runs from black to white, 'redblue' through white. */
export type Colours = 'viridis' | 'grays' | 'redblue';

function colourOf(colours: Colours): (level: number) => readonly [number, number, number] {
  if (colours === 'grays') return (level) => [255 * level, 255 * level, 255 * level];
  const interpolate = scheme(colours) as unknown as (level: number) => string;
  const stops = Array.from({ length: 256 }, (_, i) => {
    const [r, g, b] = interpolate(i / 255)
      .match(/\d+/g)!
      .map(Number);
    return [r!, g!, b!] as const;
  });
  return (level) => stops[Math.round(255 * level)]!;
}

const level = (value: number, [least, greatest]: readonly [number, number]): number =>
  greatest > least ? Math.max(0, Math.min(1, (value - least) / (greatest - least))) : 0.5;

function extent(values: ArrayLike<number>): [number, number] {
  let [least, greatest] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let i = 0; i < values.length; i++) {
    least = Math.min(least, values[i]!);
    greatest = Math.max(greatest, values[i]!);
  }
  return [least, greatest];
}

/** A PNG whose colour at each pixel is `at(row, column)`, as an address that SVG can hold. */
function png(width: number, height: number, at: (row: number, column: number) => readonly number[]): string {
  const data = new Uint8Array(3 * width * height);
  for (let row = 0; row < height; row++)
    for (let column = 0; column < width; column++)
      data.set(
        at(row, column).map((part) => Math.round(part)),
        3 * (row * width + column),
      );
  const bytes = encode({ width, height, data, channels: 3, depth: 8 }, { zlib: { level: 9 } });
  return `data:image/png;base64,${Buffer.from(bytes).toString('base64')}`;
}

export interface HeatMapOptions extends PlotOptions {
  readonly x: Axis & { readonly range: readonly [number, number] };
  readonly y: Axis & { readonly range: readonly [number, number] };
  readonly colours?: Colours;
  /** The values of the first and the last colour; the least and the greatest unless given. */
  readonly range?: readonly [number, number];
  /** A title for the colours' legend, which there is none without. */
  readonly legend?: string;
}

/**
 * Values `[rows, columns]`, row-major, as colours. Cells fill the ranges of both axes; the first row lies at the lower end of y.
 */
export function heatMap(
  values: ArrayLike<number>,
  [rows, columns]: readonly [rows: number, columns: number],
  options: HeatMapOptions,
): Picture {
  const { title, x, y, width = plotSize.width, height = plotSize.height, colours = 'viridis', legend } = options;
  const range = options.range ?? extent(values);
  const paint = colourOf(colours);
  // A whole number of pixels for each cell, so that no viewer smooths them into each other.
  const [across, down] = [Math.max(1, Math.ceil(width / columns)), Math.max(1, Math.ceil(height / rows))];
  const url = png(columns * across, rows * down, (row, column) =>
    paint(level(values[(rows - 1 - Math.floor(row / down)) * columns + Math.floor(column / across)]!, range)),
  );
  const corner = [{ x: x.range[0], y: y.range[0], value: range[0] }];
  const scale = { scheme: colours === 'grays' ? ['black', 'white'] : colours, domain: range };
  const colour = { field: 'value', type: 'quantitative', title: legend, scale };
  return {
    title,
    width,
    height,
    layer: [
      {
        data: { values: [{ url }] },
        mark: { type: 'image', width, height, aspect: false, align: 'left', baseline: 'top' },
        encoding: { url: { field: 'url' }, x: { value: 0 }, y: { value: 0 } },
      },
      {
        data: { values: corner },
        // Carries both axes and the legend.
        mark: { type: 'point', opacity: 0 },
        encoding: { x: position('x', x), y: position('y', y), ...(legend !== undefined && { color: colour }) },
      },
    ],
    resolve: { scale: { color: 'independent' } },
  };
}

export interface ImageGridOptions {
  readonly title: string;
  /** How many images stand side by side. */
  readonly columns: number;
  /** Pixels of the picture for each pixel of an image. */
  readonly scale?: number;
  readonly colours?: Colours;
  /** The values of the first and the last colour; those of each image unless given. */
  readonly range?: readonly [number, number];
  /** Texts under the images. */
  readonly captions?: readonly string[];
}

/** Images `[count, height, width]`, row-major, in rows of `columns`. */
export function imageGrid(
  images: ArrayLike<number>,
  [count, height, width]: readonly [count: number, height: number, width: number],
  options: ImageGridOptions,
): Picture {
  const { title, columns, scale = 4, colours = 'grays', captions } = options;
  const size = width * height;
  const paint = colourOf(colours);
  const ranges = Array.from(
    { length: count },
    (_, i) => options.range ?? extent(Array.from({ length: size }, (_, pixel) => images[i * size + pixel]!)),
  );
  const gap = 4;
  const caption = captions === undefined ? 0 : 14;
  const [cellWidth, cellHeight] = [width * scale + gap, height * scale + gap + caption];
  const [across, down] = [columns * cellWidth - gap, Math.ceil(count / columns) * cellHeight - gap];
  const url = png(across, down, (row, column) => {
    const [gridRow, gridColumn] = [Math.floor(row / cellHeight), Math.floor(column / cellWidth)];
    const image = gridRow * columns + gridColumn;
    const [y, x] = [Math.floor((row % cellHeight) / scale), Math.floor((column % cellWidth) / scale)];
    if (image >= count || x >= width || y >= height) return [255, 255, 255];
    return paint(level(images[image * size + y * width + x]!, ranges[image]!));
  });
  const place = { x: { field: 'x', type: 'quantitative', scale: null, axis: null } };
  const texts = (captions ?? []).map((text, i) => ({
    text,
    x: (i % columns) * cellWidth + (width * scale) / 2,
    y: Math.floor(i / columns) * cellHeight + height * scale + 10,
  }));
  return {
    title,
    width: across,
    height: down,
    view: { stroke: null },
    layer: [
      {
        data: { values: [{ url }] },
        mark: { type: 'image', width: across, height: down, aspect: false, align: 'left', baseline: 'top' },
        encoding: { url: { field: 'url' }, x: { value: 0 }, y: { value: 0 } },
      },
      {
        data: { values: texts },
        mark: { type: 'text', baseline: 'alphabetic', fontSize: 10 },
        encoding: {
          ...place,
          y: { field: 'y', type: 'quantitative', scale: null, axis: null },
          text: { field: 'text' },
        },
      },
    ],
  };
}

/** The pictures in one plot, the first below; they share its axes and its title. */
export function over(...pictures: readonly Picture[]): Picture {
  const [{ title, width, height }] = pictures as readonly [Picture, ...Picture[]];
  const layer = pictures.map(({ title: _, width: __, height: ___, ...rest }) => rest);
  return { title, width, height, layer, resolve: { scale: { color: 'independent' } } };
}

/** The pictures in rows of `columns`, each with its own axes and legend. */
export const beside = (pictures: readonly Picture[], columns = pictures.length): Picture => ({
  concat: pictures,
  columns,
  resolve: { scale: { color: 'independent' }, legend: { color: 'independent' } },
});

const look = {
  // Descriptions of every mark would be most of the file; the page that shows a picture describes it.
  aria: false,
  mark: { aria: false },
  font: 'sans-serif',
  view: { stroke: '#ccc' },
  title: { fontSize: 12, fontWeight: 'normal', anchor: 'start' },
  legend: { symbolType: 'stroke', symbolStrokeWidth: 3, labelLimit: 0 },
};

/** What Vega would only warn of is an error here: the picture would lack something. */
const strict: LoggerInterface = {
  level: (() => strict) as LoggerInterface['level'],
  error: (...words) => fail(words),
  warn: (...words) => fail(words),
  info: () => strict,
  debug: () => strict,
};
function fail(words: readonly unknown[]): never {
  throw new Error(`the picture cannot be drawn: ${words.join(' ')}`);
}

/** The picture as the text of an SVG file. */
export async function draw(picture: Picture): Promise<string> {
  const specification = { background: 'white', padding: 8, config: look, ...picture } as unknown as TopLevelSpec;
  const { spec } = compile(specification, { logger: strict });
  resetSVGDefIds();
  const view = new View(parse(spec), { renderer: 'none', logger: strict });
  try {
    return `${await view.toSVG()}\n`;
  } finally {
    view.finalize();
  }
}
