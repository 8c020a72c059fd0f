// What a scene gets when it imports "remotion": the public API of Remotion, reimplemented for the preview.

export { Easing } from "./easing";
export { interpolate } from "./interpolate";
export { interpolateColors } from "./colors";
export { measureSpring, spring } from "./spring";
export { random } from "./random";
export { AbsoluteFill, Freeze, Loop, Sequence, Series, useCurrentFrame, useVideoConfig } from "./timeline";
export { Audio, Audio as Html5Audio, IFrame, Img, staticFile, Video, Video as Html5Video, Video as OffthreadVideo } from "./media";
export type { VideoConfig } from "./timeline";

/** In a render these handles delay a frame; the preview ignores them. */
export const delayRender = (_label?: string): number => 0;
export const continueRender = (_handle: number): void => undefined;
export const cancelRender = (reason: unknown): never => {
  throw reason instanceof Error ? reason : new Error(String(reason));
};
export const useDelayRender = () => ({ delayRender, continueRender, cancelRender });

export const getInputProps = (): Record<string, unknown> => ({});

const environment = { isStudio: false, isRendering: false, isPlayer: true, isReadOnlyStudio: false, isClientSideRendering: false };
export const getRemotionEnvironment = () => environment;
export const useRemotionEnvironment = () => environment;

