from voicekiosk.cli import main

raise SystemExit(main())
