// What a front end writes against the types that openapi-typescript makes from the merged document.
import type { components, operations } from "./api";

type Schemas = components["schemas"];

const status: Schemas["AppealStatus"] = "triage";
// @ts-expect-error — a status that no appeal has
const unknown: Schemas["AppealStatus"] = "archived";

type Refusal = operations["reply_to_appeal"]["responses"][409]["content"]["application/problem+json"];

/** Every type of problem is a case: one that is missing here is an error of the compiler. */
export function explain(problem: Refusal): string {
  switch (problem.type) {
    case "/problems/reply-under-way":
      return problem.reply?.id ?? problem.detail;
    case "/problems/reply-being-written":
      return problem.lease?.holder_name ?? problem.detail;
    case "/problems/conflict":
    case "/problems/duplicate":
    case "/problems/idempotent-request-in-progress":
      return problem.detail;
    default: {
      const none: never = problem;
      return none;
    }
  }
}

/** Lists show whether a route was asked for. */
export function reasons(page: Schemas["AppealListItemPage"]): string[] {
  return page.items.flatMap((item) => (item.route === null ? [] : [item.route.reason]));
}

export type WrongFields = Schemas["InvalidProblem"]["errors"][number]["pointer"];
export const used: string[] = [status, unknown];
