/** Of a list of numbers. */
export function median(numbers) {
  return quantile(numbers, 0.5);
}

/** The value that a share of the numbers does not exceed; between two numbers, the line between them. */
export function quantile(numbers, share) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const at = (sorted.length - 1) * share;
  const low = sorted[Math.floor(at)];
  return low + (sorted[Math.ceil(at)] - low) * (at - Math.floor(at));
}
