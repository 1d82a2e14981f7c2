// Where the number tags of faces go: beside their boxes, inside the picture where there is room, on no face if possible.

// How far two rectangles [x, y, width, height] overlap, as an area.
function overlap(one, other) {
  const across = Math.min(one[0] + one[2], other[0] + other[2]) - Math.max(one[0], other[0]);
  const down = Math.min(one[1] + one[3], other[1] + other[3]) - Math.max(one[1], other[1]);
  return across > 0 && down > 0 ? across * down : 0;
}

const covered = (tag, rectangles) => rectangles.reduce((sum, each) => sum + overlap(tag, each), 0);

// Where along one side of a box a tag may lie: at both ends, and wherever its overlap with something begins or ends,
// between which no place is better than these.
function along(start, length, own, most, others) {
  const inside = (value) => Math.min(Math.max(value, 0), most);
  const ends = [inside(start), inside(start + length - own)];
  const [low, high] = [Math.min(...ends), Math.max(...ends)];
  const edges = others.flatMap(([from, size]) => [from - own, from, from + size - own, from + size]);
  return [...ends, ...edges.filter((value) => value > low && value < high)];
}

// The places of a tag beside its box that lie inside the picture, the preferred side first: above, below, right, left.
function places([x, y, width, height], [own, tall], [most, lowest], others) {
  const across = along(x, width, own, most - own, others.map((each) => [each[0], each[2]]));
  const down = along(y, height, tall, lowest - tall, others.map((each) => [each[1], each[3]]));
  return [
    ...[y - tall, y + height].flatMap((top) => across.map((left) => [left, top])),
    ...[x + width, x - own].flatMap((left) => down.map((top) => [left, top])),
  ].filter(([left, top]) => left >= 0 && top >= 0 && left + own <= most && top + tall <= lowest);
}

function best(index, boxes, sizes, picture, placed) {
  const tags = placed.filter((_, other) => other !== index);
  const faces = boxes.filter((_, other) => other !== index);
  let found = null;
  for (const [left, top] of places(boxes[index], sizes[index], picture, [...faces, ...tags])) {
    const tag = [left, top, ...sizes[index]];
    const costs = [covered(tag, faces), covered(tag, tags)];
    if (!found || costs[0] < found.costs[0] || (costs[0] === found.costs[0] && costs[1] < found.costs[1])) {
      found = { tag, costs };
    }
  }
  // A face that leaves no room in the picture has its tag above it, outside if need be.
  return found ? found.tag : [Math.max(0, boxes[index][0]), boxes[index][1] - sizes[index][1], ...sizes[index]];
}

/**
 * Place tags. A tag never covers its own face; of the places inside the picture it takes one that covers least of other
 * faces, then of other tags.
 *
 * @param {number[][]} boxes - of the faces: x, y, width, height in pixels as shown, within the picture.
 * @param {number[][]} sizes - of the tags, one per face: width, height.
 * @param {number[]} picture - width, height.
 * @returns {number[][]} x and y of the tags; y is negative where only above the picture is room.
 */
export function placeTags(boxes, sizes, picture) {
  const placed = [];
  // Tags that come later may make a better place for an earlier one.
  for (let round = 0; round < 3; round++) {
    boxes.forEach((_, index) => { placed[index] = best(index, boxes, sizes, picture, placed); });
  }
  return placed.map(([x, y]) => [x, y]);
}
