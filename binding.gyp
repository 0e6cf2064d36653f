{
  # For `node-gyp rebuild` and tools that expect it; the build itself is cmake-js's. Left out of the published files:
  # npm runs node-gyp on sight of a binding.gyp.
  "targets": [
    {
      "target_name": "ebpf",
      "type": "none",
      "actions": [
        {
          "action_name": "cmake-js",
          "inputs": [],
          "outputs": ["<(module_root_dir)/build/Release/ebpf.node"],
          "action": ["node", "<(module_root_dir)/scripts/build-native.mjs"]
        }
      ]
    }
  ]
}
