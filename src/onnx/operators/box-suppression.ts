// Non-maximum suppression on known numbers: of boxes that overlap too much, the one with the greatest score stays.

export interface Suppression {
  /** [images, boxes, 4]: two opposite corners as y x y x, or x, y, width and height with a centre. */
  readonly boxes: readonly number[];
  /** [images, classes, boxes]. */
  readonly scores: readonly number[];
  readonly shape: readonly [images: number, classes: number, boxes: number];
  readonly isCentred: boolean;
  readonly mostPerClass: number;
  /** Boxes whose intersection over union with a chosen one is greater are dropped. */
  readonly overlapThreshold: number;
  readonly scoreThreshold: number;
}

interface Box {
  readonly top: number;
  readonly left: number;
  readonly bottom: number;
  readonly right: number;
}

/** The chosen boxes as [image, class, box], by falling score within each class. */
export function suppressed(given: Suppression): [image: number, category: number, box: number][] {
  const [images, classes, count] = given.shape;
  const chosen: [number, number, number][] = [];
  for (let image = 0; image < images; image++) {
    const boxes = Array.from({ length: count }, (_, i) => boxAt(given, image * count + i));
    for (let category = 0; category < classes; category++) {
      const scores = given.scores.slice((image * classes + category) * count, (image * classes + category + 1) * count);
      for (const box of keptBoxes(boxes, scores, given)) chosen.push([image, category, box]);
    }
  }
  return chosen;
}

function keptBoxes(boxes: readonly Box[], scores: readonly number[], given: Suppression): number[] {
  const candidates = scores.flatMap((score, i) => (score > given.scoreThreshold ? [i] : []));
  candidates.sort((a, b) => scores[b]! - scores[a]! || a - b);
  const kept: number[] = [];
  for (const candidate of candidates) {
    if (kept.length >= given.mostPerClass) break;
    if (kept.every((other) => overlap(boxes[candidate]!, boxes[other]!) <= given.overlapThreshold))
      kept.push(candidate);
  }
  return kept;
}

function boxAt({ boxes, isCentred }: Suppression, at: number): Box {
  const [a, b, c, d] = boxes.slice(4 * at, 4 * at + 4) as [number, number, number, number];
  if (isCentred) return { top: b - d / 2, bottom: b + d / 2, left: a - c / 2, right: a + c / 2 };
  return { top: Math.min(a, c), bottom: Math.max(a, c), left: Math.min(b, d), right: Math.max(b, d) };
}

/** Intersection over union; 0 where one of the boxes is empty. */
function overlap(a: Box, b: Box): number {
  const height = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
  const width = Math.min(a.right, b.right) - Math.max(a.left, b.left);
  if (height <= 0 || width <= 0) return 0;
  const area = ({ top, left, bottom, right }: Box): number => (bottom - top) * (right - left);
  const shared = height * width;
  const union = area(a) + area(b) - shared;
  return union > 0 ? shared / union : 0;
}
