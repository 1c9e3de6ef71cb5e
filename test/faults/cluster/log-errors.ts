/** The lines of a log at level error and above, and lines that are not JSON. Nodes must write none, whatever fails around them. */
export function errorsIn(log: string): string[] {
  return log.split("\n").filter((line) => {
    if (line === "") return false;
    try {
      return (JSON.parse(line) as { level: number }).level >= 50;
    } catch {
      return true;
    }
  });
}
