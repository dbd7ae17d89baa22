// The drawing pad. What is drawn becomes an image of 8 × 8 as the UCI digits were made: the strokes fill a bitmap of
// 32 × 32, and each pixel counts the 16 cells of its block.

const bitmap = 32;
const block = 4;

/** Calls `read` with 64 numbers from 0 to 1 whenever a stroke grows or ends, and with null when the pad is cleared. */
export function drawingPad(
  pad: HTMLCanvasElement,
  seen: HTMLCanvasElement,
  clear: HTMLElement,
  read: (image: Float32Array | null) => Promise<void>,
): void {
  const context = pad.getContext('2d', { willReadFrequently: true })!;
  Object.assign(context, { lineWidth: pad.width / 11, lineCap: 'round', lineJoin: 'round', strokeStyle: '#fff' });
  let reading = false;
  let changed = false;
  const update = async (): Promise<void> => {
    changed = true;
    if (reading) return;
    reading = true;
    pad.ariaBusy = 'true';
    while (changed) {
      changed = false;
      const image = imageOf(context, pad.width);
      show(seen, image);
      await read(image);
    }
    reading = false;
    pad.ariaBusy = 'false';
  };
  const at = ({ clientX, clientY }: PointerEvent): [number, number] => {
    const { left, top, width } = pad.getBoundingClientRect();
    const scale = pad.width / width;
    return [(clientX - left) * scale, (clientY - top) * scale];
  };
  /** A busy browser gives several moves as one event: corners are in its parts. */
  const extend = (event: PointerEvent): void => {
    if (!pad.hasPointerCapture(event.pointerId)) return;
    const parts = event.getCoalescedEvents();
    for (const part of parts.length === 0 ? [event] : parts) context.lineTo(...at(part));
    context.stroke();
    void update();
  };
  pad.addEventListener('pointerdown', (event) => {
    pad.setPointerCapture(event.pointerId);
    context.beginPath();
    context.moveTo(...at(event));
  });
  pad.addEventListener('pointermove', extend);
  pad.addEventListener('pointerup', extend);
  clear.addEventListener('click', () => {
    context.clearRect(0, 0, pad.width, pad.height);
    void update();
  });
}

/** The strokes, scaled to the height of the bitmap and centred; null where nothing is drawn. */
function imageOf(context: CanvasRenderingContext2D, size: number): Float32Array | null {
  const { data } = context.getImageData(0, 0, size, size);
  const ink = (x: number, y: number): boolean => data[(y * size + x) * 4 + 3]! > 127;
  let [left, right, top, bottom] = [size, -1, size, -1];
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      if (!ink(x, y)) continue;
      [left, right] = [Math.min(left, x), Math.max(right, x)];
      [top, bottom] = [Math.min(top, y), Math.max(bottom, y)];
    }
  }
  if (right < 0) return null;
  const extent = Math.max(bottom - top, right - left) + 1;
  const [middleX, middleY] = [(left + right + 1) / 2, (top + bottom + 1) / 2];
  const image = new Float32Array(64);
  for (let cell = 0; cell < bitmap * bitmap; cell++) {
    const [column, row] = [cell % bitmap, Math.floor(cell / bitmap)];
    const x = Math.floor(middleX + ((column + 0.5) / bitmap - 0.5) * extent);
    const y = Math.floor(middleY + ((row + 0.5) / bitmap - 0.5) * extent);
    if (x < 0 || y < 0 || x >= size || y >= size || !ink(x, y)) continue;
    image[Math.floor(row / block) * 8 + Math.floor(column / block)]! += 1 / (block * block);
  }
  return image;
}

function show(canvas: HTMLCanvasElement, image: Float32Array | null): void {
  const context = canvas.getContext('2d')!;
  const pixels = context.createImageData(8, 8);
  for (let i = 0; i < 64; i++) pixels.data.set([255, 255, 255, 255 * (image?.[i] ?? 0)], i * 4);
  context.putImageData(pixels, 0, 0);
}
