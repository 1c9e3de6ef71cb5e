/** Lines of a log at error and above, and those that are no JSON: what a node must not write, whatever dies around it. */
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
