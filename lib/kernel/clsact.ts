/** What is where a device's clsact would be. */
import { isNativeFailure } from "./explain.js";
import { message, NlmFlag, Rtm, readText, request, TCA, TCMSG_SIZE } from "./netlink.js";

// include/uapi/linux/pkt_sched.h
const TC_H_CLSACT = 0xfffffff1;

/**
 * By the index of each device of the current network namespace that has one: "clsact" or "ingress". The latter, all that there was
 * before 4.5, has one direction only; a filter for the other it takes all the same, and runs it on the way in (ingress_find() in
 * net/sched/sch_ingress.c).
 */
export function clsactKinds(): ReadonlyMap<number, string> {
  let answers: ReturnType<typeof request>;
  try {
    answers = request(message(Rtm.getQdisc, NlmFlag.dump, Buffer.alloc(TCMSG_SIZE)));
  } catch (failure) {
    // No traffic control in this kernel (CONFIG_NET_SCHED).
    if (isNativeFailure(failure)) return new Map();
    throw failure;
  }
  return new Map(
    answers
      .filter((answer) => answer.u32(12) === TC_H_CLSACT)
      .map((answer) => [answer.u32(4), readText(answer.attributes(TCMSG_SIZE).get(TCA.kind))]),
  );
}
