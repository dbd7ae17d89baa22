// The falling loss: each batch as a dot, their moving average as a line, on a logarithmic scale.

const highest = 3;
const lowest = 0.003;
const margin = { left: 72, right: 12, top: 14, bottom: 34 };

/** Draws the losses so far of a run of `steps` steps. */
export function drawLoss(canvas: HTMLCanvasElement, losses: readonly number[], steps: number): void {
  const context = canvas.getContext('2d')!;
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string): string => resolved(canvas, style.getPropertyValue(name));
  const [width, height] = [canvas.width - margin.left - margin.right, canvas.height - margin.top - margin.bottom];
  const x = (step: number): number => margin.left + (step / Math.max(1, steps - 1)) * width;
  const y = (loss: number): number => {
    const clamped = Math.min(highest, Math.max(lowest, loss));
    return margin.top + (Math.log(highest / clamped) / Math.log(highest / lowest)) * height;
  };
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.font = '20px system-ui, sans-serif';
  context.fillStyle = colour('--faint');
  context.strokeStyle = colour('--line');
  context.textAlign = 'right';
  context.textBaseline = 'middle';
  for (const mark of [3, 1, 0.3, 0.1, 0.03, 0.01, 0.003]) {
    context.beginPath();
    context.moveTo(margin.left, y(mark));
    context.lineTo(canvas.width - margin.right, y(mark));
    context.stroke();
    context.fillText(String(mark), margin.left - 10, y(mark));
  }
  context.textAlign = 'left';
  context.fillText('loss', margin.left + 8, canvas.height - 14);
  context.textAlign = 'right';
  context.fillText(`step ${steps}`, canvas.width - margin.right, canvas.height - 14);
  context.fillStyle = colour('--accent');
  context.globalAlpha = 0.35;
  losses.forEach((loss, step) => {
    context.fillRect(x(step) - 2, y(loss) - 2, 4, 4);
  });
  context.globalAlpha = 1;
  context.strokeStyle = colour('--accent');
  context.lineWidth = 3;
  context.beginPath();
  movingAverage(losses).forEach((loss, step) => {
    context.lineTo(x(step), y(loss));
  });
  context.stroke();
  context.lineWidth = 1;
}

/** A canvas takes no light-dark(): the browser resolves it for an element. */
function resolved(element: HTMLElement, colour: string): string {
  const probe = document.createElement('i');
  probe.style.color = colour;
  element.after(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

/** Exponential, corrected for its beginning. */
function movingAverage(losses: readonly number[]): number[] {
  const keep = 0.9;
  let sum = 0;
  return losses.map((loss, i) => {
    sum = keep * sum + (1 - keep) * loss;
    return sum / (1 - keep ** (i + 1));
  });
}
