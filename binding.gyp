{
  'variables': {
    'onednn_source': '<!(node -p "require(\'./build/deps.json\').onednn.source")',
    'onednn_include': '<!(node -p "require(\'./build/deps.json\').onednn.includeDir")',
    'onednn_lib': '<!(node -p "require(\'./build/deps.json\').onednn.libDir")',
    'list_sources': 'd => fs.readdirSync(d).filter(f => f.endsWith(\'.cc\')).map(f => d + \'/\' + f)',
  },
  'targets': [
    {
      'target_name': 'node_cudnn',
      'sources': [
        '<!@(node -p "[\'native/core\', \'native/cpu\', \'native/bind\'].flatMap(<(list_sources)).join(\' \')")',
      ],
      'include_dirs': [
        'native',
        '<!(node -p "require(\'node-addon-api\').include_dir")',
        '<(onednn_include)',
      ],
      'defines': [
        'NAPI_VERSION=9',
        'NAPI_CPP_EXCEPTIONS',
        'NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS',
        'NODE_ADDON_API_DISABLE_DEPRECATED',
      ],
      'cflags_cc!': ['-fno-exceptions', '-fno-rtti'],
      'cflags_cc': [
        '-std=gnu++17', '-O3', '-fopenmp', '-fexceptions', '-fvisibility=hidden', '-fno-math-errno', '-Wall', '-Wextra',
      ],
      'ldflags': ['-fopenmp', '-Wl,--disable-new-dtags', '-Wl,-z,now'],
      'library_dirs': ['<(onednn_lib)'],
      'libraries': ['-ldnnl'],
      'conditions': [
        ['onednn_source == "wheel"', {
          'ldflags': ['-Wl,-rpath,\'$$ORIGIN/../../<(onednn_lib)\''],
        }, {
          'ldflags': ['-Wl,-rpath,\'<(onednn_lib)\''],
        }],
        ['"<!(node -p process.env.NODE_CUDNN_WERROR)" == "1"', { 'cflags_cc': ['-Werror'] }],
      ],
    },
    {
      'target_name': 'complete',
      'type': 'none',
      'dependencies': ['node_cudnn'],
      'actions': [
        {
          'action_name': 'check_symbols',
          'inputs': ['<(PRODUCT_DIR)/node_cudnn.node', 'native/check-symbols.mjs'],
          'outputs': ['<(PRODUCT_DIR)/node_cudnn.checked'],
          'action': ['node', 'native/check-symbols.mjs', '<@(_inputs)', '<@(_outputs)'],
        },
      ],
    },
  ],
}
